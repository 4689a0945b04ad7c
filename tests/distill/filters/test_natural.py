"""Conversations as agents with their own tools have them: what their answers name, after what they did."""

from __future__ import annotations

import json
from typing import Any

import pytest

from distill.filters import Rules, Told, explain
from distill.trace import Trace
from router.chat import AnswerMessage, ChatRequest, FunctionCall, FunctionSpec, Message, Tool, ToolCall
from router.decision import Decision

TOLD = Told(Rules(confirm=False))
SYSTEM = "You are an agent.\n\n# Environment\n - Primary working directory: /home/user/shop\n - Platform: linux\n"
QUESTION = "The basket in src/basket.py counts a blank line, though it is empty. Mend that, please."
SOURCE = (
    "    10→def count_lines(text):\n    11→    return len(text.split(SEPARATOR))\n    12→\n    13→class LineCounter:"
)
TESTED = "Exit code: 0\nWall time: 0.4 seconds\nOutput:\n12 passed in 0.31s"
Made = tuple[str, dict[str, Any], str]
ELSEWHERE: Made = ("Grep", {"pattern": "SEPARATOR"}, "src/lines.py:7:SEPARATOR = 1")
READ: Made = ("Read", {"file_path": "/home/user/shop/src/basket.py", "offset": 10, "limit": 4}, SOURCE)
EDIT: Made = (
    "Edit",
    {"file_path": "/home/user/shop/src/basket.py", "old_string": "len(text", "new_string": "len(without_blank(text"},
    "The file /home/user/shop/src/basket.py has been updated successfully.",
)
WRITE: Made = (
    "Write",
    {"file_path": "/home/user/shop/tests/test_blank.py", "content": "def test_blank_lines():\n    assert True\n"},
    "File created successfully.",
)
TEST: Made = ("Bash", {"command": "uv run pytest -q tests/test_blank.py", "description": "Runs the tests"}, TESTED)
LIST: Made = ("Glob", {"pattern": "**/*.toml"}, "/home/user/shop/pyproject.toml\n/home/user/shop/conf/limits.toml")
NONE: Made = ("Grep", {"pattern": "def is_blank"}, "No matches found")


def conversation(answer: str, *made: Made, question: str = QUESTION, offered: str = "") -> list[Trace]:
    names = {*(name for name, _, _ in made), *offered.split()}
    tools = [Tool(FunctionSpec(name, "A tool.", {"type": "object"})) for name in sorted(names)]
    messages = [Message("system", SYSTEM), Message("user", question)]
    traces = []
    for number, (name, arguments, result) in enumerate(made):
        calls = [ToolCall(f"t{number}", FunctionCall(name, json.dumps(arguments)))]
        traces.append(trace(number, messages, tools, AnswerMessage(None, calls)))
        messages = [*messages, Message("assistant", None, calls), Message("tool", result, tool_call_id=f"t{number}")]
    return [*traces, trace(len(made), messages, tools, AnswerMessage(answer))]


def trace(number: int, messages: list[Message], tools: list[Tool], answer: AnswerMessage) -> Trace:
    request = ChatRequest("m", messages, tools=tools)
    return Trace(f"t{number}", float(number), "c", request, "completed", Decision("teacher", "policy"), answer=answer)


WHOLE: list[tuple[str, list[Made]]] = [
    ("`count_lines` in `src/basket.py:10` splits at `SEPARATOR`, so an empty line counts.", [READ]),
    ("Mended: `count_lines()` now calls `without_blank` first (src/basket.py, lines 10-11).", [READ, EDIT]),
    ("I added `test_blank_lines` in tests/test_blank.py; `pytest` says that all 12 pass.", [READ, EDIT, WRITE, TEST]),
    (
        "## Done\n\n* **src/basket.py**: drops blank lines\n* ran `uv run pytest -q`\n\n12 passed.",
        [READ, EDIT, WRITE, TEST],
    ),
    ("The file is src/lines.py and the line is 7.", [READ, ELSEWHERE]),
    ("The settings are in conf/limits.toml, and in pyproject.toml.", [READ, LIST]),
    ("There is no `is_blank` yet.", [NONE]),
    ("I could not find anything like is_blank.", [NONE]),
    ("It gives a default for names that do not exist, and for parts which are not found.", [READ]),
    ("It fails if the file does not exist; see /home/user/shop/src/basket.py.", [READ]),
    ("You could add:\n\n```python\ndef drop_blank(text):\n    return new_thing(text)\n```", [READ]),
    ("Version 2.1.0 of the API, i.e. the one from 2026/11/25, reads/writes UTF-8 on macOS.", [READ]),
    ("| name | line |\n|---|---|\n| `LineCounter` | 13 |\n", [READ]),
    ("Der Fehler steht in src/basket.py, Zeile 11: `SEPARATOR` trennt auch leere Zeilen.", [READ]),
]


@pytest.mark.parametrize(("answer", "made"), WHOLE)
def test_what_is_learnt_whole(answer: str, made: list[Made]) -> None:
    (one,) = explain(conversation(answer, *made), TOLD).trajectories
    assert [finding for finding in one.findings if finding.effect in ("masked", "dropped")] == []
    assert len(one.learnt) == len(made) + 1


FAILED_EDIT: Made = (*EDIT[:2], "<tool_use_error>String to replace not found in file.</tool_use_error>")
FAILED_TEST: Made = (*TEST[:2], "Exit code: 4\nWall time: 0.1 seconds\nOutput:\nERROR: file or directory not found")
FOUND: Made = ("Grep", {"pattern": "is_blank|count_lines"}, "src/basket.py:10:def count_lines(text):")
BAD: list[tuple[str, list[Made], str]] = [
    ("Mended: it calls `without_blank` first.", [READ, FAILED_EDIT], "ungrounded"),
    ("I ran `pytest`, and all is well.", [READ], "ungrounded"),
    ("`is_blank` is in src/basket.py.", [FOUND], "ungrounded"),
    ("There is no `is_blank`.", [READ], "unproven_absence"),
    ("I see that there is no `is_blank`.", [READ], "unproven_absence"),
    (QUESTION, [READ], "no_final_answer"),
    ("I would add `drop_blank`:\n\n```python\ndef drop_blank(text):\n    ...\n```", [READ], "ungrounded"),
    ("See src/basket.py, line 90.", [READ], "ungrounded"),
    ("It is in src/basket.py, and the line is 90.", [READ], "ungrounded"),
    ("The file is src/basket.py and the line is 7.", [READ, ELSEWHERE], "ungrounded"),
    ("`Read` shows a part of a file.", [READ], "ungrounded"),
    ("The helper is in src/helpers.py.", [READ, EDIT], "ungrounded"),
]


@pytest.mark.parametrize(("answer", "made", "reason"), BAD)
def test_what_is_dropped(answer: str, made: list[Made], reason: str) -> None:
    assert explain(conversation(answer, *made), TOLD).trajectories[0].reason == reason


NOTHING: Made = ("Grep", {"pattern": "Expr"}, "No matches found")
UNSEEN: Made = ("Glob", {"pattern": "*"}, "jinja2/")


@pytest.mark.parametrize(
    ("question", "answer", "made", "reason"),
    [
        ("How many methods has the class Expr?", "It has 2 methods.", [UNSEEN], "not_looked_at"),
        ("How many methods has the class Expr?", "It has 2 methods.", [], "not_looked_at"),
        ("What does src/basket.py do?", "It keeps baskets.", [], "not_looked_at"),
        ("What does set_result do?", "It sets a result.", [UNSEEN], "not_looked_at"),
        ("How many methods has the class Expr?", "I did not see the class.", [NOTHING], ""),
        ("What does src/basket.py do?", "It counts the lines of a text.", [READ], ""),
        ("What does the class LineCounter do?", "It counts lines.", [READ], ""),
        ("What does functools.wraps do, and FastAPI?", "It keeps the name of what is wrapped.", [], ""),
        ("Why does `set_result(3)` fail? def set_result(x): return x.y", "3 has a problem.", [UNSEEN], ""),
        ("Add a function drop_blank to src/basket.py.", "Done.", [UNSEEN, EDIT], ""),
        ("What type is it, and which file has it?", "A str.", [UNSEEN], ""),
    ],
)
def test_what_is_asked_about_is_looked_at(question: str, answer: str, made: list[Made], reason: str) -> None:
    traces = conversation(answer, *made, question=question, offered="Read")
    assert explain(traces, TOLD).trajectories[0].reason == reason


EDITED = (
    "Now `drop_blank` is in src/blank.py:\n\nsrc/blank.py\n```python\nimport unittest\n\ndef drop_blank(text):\n```\n"
)


def test_an_agent_without_tools_writes_in_its_answer() -> None:
    (one,) = explain(conversation(EDITED + "Try it with `unittest`."), TOLD).trajectories
    assert one.learnt == [2]
    for more in ("It is like `drop_line`.", "See src/other_place.py.", "There is no `drop_line`."):
        (one,) = explain(conversation(EDITED + more), TOLD).trajectories
        assert one.reason in ("ungrounded", "unproven_absence"), more


INVENTED = [
    ("Read", {"file_path": "/home/user/shop/src/invented.py"}),
    ("Read", {"file_path": "/home/user/shop/src/basket.py", "offset": 7777}),
    ("Grep", {"pattern": "class\\s+FrobnicatorFactory"}),
    ("Bash", {"command": "sed -n '4321,4330p' src/basket.py"}),
    ("Bash", {"command": "cat src/made_up/thing.py"}),
]
ORDINARY = [
    ("Read", {"file_path": "/home/user/shop/src/basket.py", "offset": 1, "limit": 2000}),
    ("Read", {"file_path": "README.md"}),
    ("Glob", {"pattern": "src/**/*.py"}),
    ("Glob", {"pattern": "**/basket*"}),
    ("Grep", {"pattern": "def\\s+count_\\w+", "path": "src", "-n": True}),
    ("Grep", {"pattern": "\\bempty_line\\b|emptyLine"}),
    ("Bash", {"command": "git log --oneline -5 && ls -la", "description": "Looks at new_things.py"}),
    ("Bash", {"command": "sed -n '1,80p' src/basket.py"}),
    ("Edit", {"file_path": "src/basket.py", "old_string": "basket", "new_string": "brandNewName_here"}),
    ("Task", {"prompt": "Look for FrobnicatorFactory in other_place.py", "description": "Search"}),
]


@pytest.mark.parametrize(("made", "masked"), [*((one, True) for one in INVENTED), *((one, False) for one in ORDINARY)])
def test_arguments_out_of_nowhere_are_masked(made: tuple[str, dict[str, Any]], masked: bool) -> None:
    (one,) = explain(conversation("It is an empty line.", READ, (*made, "fine")), TOLD).trajectories
    reasons = [finding.reason for finding in one.findings if finding.effect == "masked"]
    assert reasons == (["ungrounded_argument"] if masked else [])
    assert one.learnt == ([2, 6] if masked else [2, 4, 6])
