"""Marks count what calls mean, in whatever vocabulary they were made."""

import json
from pathlib import Path
from typing import Any

import pytest

from distill.agent import Conversation
from distill.examination.marking import mark
from distill.generate.question import Oracle, Question
from distill.generate.templates import Call
from distill.tools import Toolbox
from router.chat import FunctionCall
from tests.distill.vocabularies.asking import VOCABULARIES

PLAN = [Call("run_command", {"command": "grep", "args": ["-rnw", "class A", "."]})]
QUESTION = Question("q", "r", "search", "t", "Where is A?", PLAN, Oracle("places", ("a.py:1",)))


def marked(vocabulary: str, root: Path, *calls: tuple[str, Any]) -> tuple[bool, bool]:
    """Whether a tool was called, and whether the calls are the planned ones."""
    made = [FunctionCall(name, said if isinstance(said, str) else json.dumps(said)) for name, said in calls]
    conversation = Conversation("?", [], made, answer="a.py line 1", end="answered")
    found = mark(QUESTION, conversation, Toolbox(root).offering(VOCABULARIES[vocabulary]))
    assert found.right
    return found.called, found.exact


@pytest.mark.parametrize("name", VOCABULARIES)
def test_what_is_planned_is_exact_in_every_vocabulary(name: str, tmp_path: Path) -> None:
    said = VOCABULARIES[name].spoken(PLAN[0])
    assert said is not None
    assert marked(name, tmp_path, (said.name, said.arguments)) == (True, True)
    assert marked(name, tmp_path, (said.name, said.arguments), (said.name, said.arguments)) == (True, False)
    assert marked(name, tmp_path) == (False, False)
    assert marked(name, tmp_path, ("another", said.arguments)) == (False, False)
    assert marked(name, tmp_path, (said.name, "{")) == (True, False)
    assert marked(name, tmp_path, (said.name, "[]")) == (True, False)


@pytest.mark.parametrize(
    ("vocabulary", "tool", "arguments", "exact"),
    [
        ("bash", "bash", {"command": 'grep -r -n -w "class A"'}, True),
        ("bash", "bash", {"command": 'grep -rn "class A" .'}, False),
        ("bash", "bash", {"command": "grep -rnw 'class A' . | cat"}, False),
        ("bash", "grep", {"command": "grep -rnw 'class A' ."}, False),
        ("claude", "Grep", {"pattern": "\\bclass A\\b", "output_mode": "content", "-n": True, "path": "."}, True),
        ("claude", "Grep", {"pattern": "\\bclass A\\b"}, False),
        ("claude", "run_command", PLAN[0].arguments, False),
        ("explore", "run_command", {"command": "grep", "args": ["-wnr", "class A", "./"]}, True),
    ],
)
def test_calls_are_compared_by_what_they_mean(
    vocabulary: str, tool: str, arguments: dict[str, Any], exact: bool, tmp_path: Path
) -> None:
    assert marked(vocabulary, tmp_path, (tool, arguments))[1] is exact
