"""Which language a name tells."""

import pytest

from distill.facts.grammars import GRAMMARS
from distill.facts.languages import DECLARING, language_of


@pytest.mark.parametrize(
    ("path", "language"),
    [
        ("a/b.py", "python"), ("stub.pyi", "python"), ("X.PY", "python"), ("a.test.mjs", "javascript"),
        ("a.d.ts", "typescript"), ("a.tsx", "tsx"), ("x.h", "c"), ("x.hpp", "cpp"), ("Makefile", "make"),
        ("Rakefile", "ruby"), ("py", ""), (".py", ""), ("a.py/LICENSE", ""), ("", ""), ("a.unknown", ""),
    ],
)  # fmt: skip
def test_a_name_tells_its_language(path: str, language: str) -> None:
    assert language_of(path) == language


def test_the_languages_that_declare_are_those_with_a_grammar() -> None:
    assert DECLARING == GRAMMARS
