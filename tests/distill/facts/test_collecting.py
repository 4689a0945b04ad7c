"""Facts of a repository, and installed packages as repositories."""

from pathlib import Path

import pytest

from distill.errors import RepositoryError
from distill.facts import collect
from distill.generate.repositories import digest, snapshot

SOURCE = '''\
"""A module."""
import os
from .base import Base, other as another

LIMIT = 3


@final
class Child(Base, Generic[T]):
    """What a child is.

    More.
    """

    async def walk(self, *steps: int, fast=True, **rest) -> None:
        """Walks."""


def outer(a, /, b=1):
    def inner(): ...
'''


def test_facts_are_what_the_source_says(tmp_path: Path) -> None:
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "child.py").write_text(SOURCE)
    facts = collect(tmp_path)
    (child,) = facts.classes
    assert (child.name, child.path, child.line) == ("Child", "pkg/child.py", 9)
    assert child.bases == ("Base", "Generic[T]")
    assert child.decorators == ("final",)
    assert child.doc == "What a child is."
    walk, outer, inner = facts.functions
    assert walk.parameters == ("self", "*steps", "fast", "**rest")
    assert (walk.owner, walk.returns, walk.doc) == ("Child", "None", "Walks.")
    assert outer.parameters == ("a", "b")
    assert (outer.nested, inner.nested) == (False, True)
    assert [(fact.module, fact.names) for fact in facts.imports] == [("os", ()), (".base", ("Base", "other"))]
    assert [(fact.name, fact.value, fact.line) for fact in facts.constants] == [("LIMIT", "3", 5)]
    assert facts.files[0].lines == SOURCE.count("\n")
    assert facts.folders == {".": ["pkg/"], "pkg": ["child.py"]}


def test_what_cannot_be_parsed_is_counted_not_failed_on(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("def (:\n")
    (tmp_path / "nul.py").write_bytes(b"x = 1\0")
    (tmp_path / "latin.py").write_bytes(b"name = '\xe9'\n")
    (tmp_path / "deep.py").write_text("x = " + "(" * 5000 + ")" * 5000)
    (tmp_path / "escape.py").write_text("x = '\\d'\n")
    (tmp_path / "good.py").write_text("def fine(): ...\n")
    (tmp_path / "loop").symlink_to(tmp_path)
    facts = collect(tmp_path)
    assert facts.skipped == 3
    assert [file.path for file in facts.files if file.binary] == ["nul.py"]
    assert [fact.name for fact in facts.functions] == ["fine"]


def test_an_empty_folder_has_no_facts(tmp_path: Path) -> None:
    facts = collect(tmp_path)
    assert not facts.files
    assert not facts.classes


def test_a_snapshot_is_the_packages_text_and_nothing_else(tmp_path: Path) -> None:
    folder = snapshot("jinja2", tmp_path / "one")
    assert (folder / "environment.py").exists()
    assert not [path for path in folder.rglob("*") if path.suffix == ".pyc" or path.name == "__pycache__"]
    assert digest(folder) == digest(snapshot("jinja2", tmp_path / "two"))
    assert snapshot("jinja2", tmp_path / "one") == folder


@pytest.mark.parametrize("name", ["no_such_package_here", "jinja2.ext", "../etc", "", "_heapq"])
def test_a_package_that_is_not_there_is_a_clear_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(RepositoryError, match="package"):
        snapshot(name, tmp_path)
