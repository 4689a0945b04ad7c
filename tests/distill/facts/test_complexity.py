"""Cyclomatic complexity, by small functions of a known one, and against ruff's rule C901."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from textwrap import dedent

import pytest

from distill.facts import collect
from distill.facts.complexity import Function, complexity

CASES = {
    "pass": 1,
    "return a and b or c if d else e": 1,
    "return [x for x in y if x]": 1,
    "if a: pass": 2,
    "if a: pass\nelif b: pass\nelse: pass": 3,
    "for x in y:\n    pass\nelse:\n    pass": 2,
    "while a:\n    if b:\n        break": 3,
    "try:\n    pass\nexcept A:\n    pass\nexcept B:\n    pass\nelse:\n    pass\nfinally:\n    pass": 4,
    "try:\n    pass\nfinally:\n    if a: pass": 2,
    "try:\n    pass\nexcept* A:\n    pass": 2,
    "with a:\n    if b: pass": 2,
    "match a:\n    case 1: pass\n    case 2: pass": 3,
    "match a:\n    case 1: pass\n    case _: pass": 2,
    "match a:\n    case 1: pass\n    case other: pass": 2,
    "match a:\n    case 1: pass\n    case _ if b: pass": 3,
    "match a:\n    case 1: pass\n    case (2 | _) as c: pass": 2,
    "def inner():\n    if a: pass": 3,
    "class Inner:\n    def run(self):\n        if a: pass": 3,
    "run(lambda: a if b else c)": 1,
}


@pytest.mark.parametrize("body", CASES)
@pytest.mark.parametrize("head", ["def f():", "async def f():"])
def test_decisions_are_counted(body: str, head: str) -> None:
    (function,) = ast.parse(head + "\n" + "".join(f"    {line}\n" for line in body.split("\n"))).body
    assert isinstance(function, Function)
    assert complexity(function) == CASES[body]


def test_a_chain_of_conditions_is_as_long_as_it_likes() -> None:
    source = (
        dedent("""\
        def f():
            if a:
                pass
        """)
        + "    elif a:\n        pass\n" * 800
    )
    (function,) = ast.parse(source).body
    assert isinstance(function, Function)
    assert complexity(function) == 802


@pytest.mark.parametrize("package", ["hypothesis", "litestar", "pydantic"])
def test_it_is_what_ruff_says(package: str) -> None:
    """Thousands of functions as people write them, which ruff has read by a parser of its own."""
    (root,) = map(Path, find_spec(package).submodule_search_locations)
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--no-cache", "--ignore-noqa", "--exit-zero"]
    command += ["--select", "C901", "--config", "lint.mccabe.max-complexity=0", "--output-format", "json", str(root)]
    said = json.loads(subprocess.run(command, capture_output=True, check=True, timeout=60).stdout)
    told = {}
    for one in said:
        matched = re.fullmatch(r"`(.*)` is too complex \((\d+) > 0\)", one["message"])
        if matched:
            path = Path(one["filename"]).relative_to(root.resolve()).as_posix()
            told[path, one["location"]["row"], matched[1]] = int(matched[2])
    ours = {(fact.path, fact.line, fact.name): fact.complexity for fact in collect(root).functions}
    assert len(told) > 1500
    assert {place: ours[place] for place in told} == told
