"""Why a question went wrong: each cause told from a conversation, through the real marks and tools."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distill.agent import Conversation, End
from distill.examination.answers import Answered, answered
from distill.examination.failures import CAUSES, HELP, Failure, counted, failure, looks_like_a_call, wanted
from distill.examination.items import Item
from distill.examination.marking import mark
from distill.generate.question import Oracle, Question
from distill.generate.templates import Call
from distill.tools import Toolbox
from distill.vocabularies import load_vocabularies
from router.chat import FunctionCall, Message

CHECKOUT = Path(__file__).resolve().parents[3]
PLAN = [
    Call("run_command", {"command": "grep", "args": ["-rn", "class Kettle", "src"]}),
    Call("read_file", {"path": "src/kettle.py"}),
]
GREP = FunctionCall("run_command", '{"command": "grep", "args": ["-rn", "class Kettle", "src"]}')
READ = FunctionCall("read_file", '{"path": "src/kettle.py"}')


def item(folder: Path, plan: list[Call] = PLAN) -> Item:
    question = Question("q", "repo", "search", "where", "Where is Kettle?", plan, Oracle("number", ("7",)))
    return Item(question, Toolbox(folder))


def told(one: Item, calls: list[FunctionCall], answer: str = "", end: End = "answered", error: str = "") -> Answered:
    messages = [Message("system", "s"), Message("user", one.question.text)]
    conversation = Conversation(
        one.question.text, messages, calls=calls, answer=answer, end=end, seconds=1.0, error=error
    )
    return answered(one, mark(one.question, conversation, one.toolbox), conversation, 1)


def cause(one: Item, *given: object, **more: object) -> tuple[str, str] | None:
    found = failure(one, told(one, *given, **more))  # type: ignore[arg-type]
    return None if found is None else (found.cause, found.detail)


def grep(*args: str) -> FunctionCall:
    import json

    return FunctionCall("run_command", json.dumps({"command": "grep", "args": list(args)}))


def test_a_right_answer_is_no_failure(tmp_path: Path) -> None:
    assert cause(item(tmp_path), [GREP, READ], "There are 7.") is None
    assert cause(item(tmp_path), [READ], "There are 7.") is None  # another way, and it led there
    assert cause(item(tmp_path, []), [], "There are 7.") is None


@pytest.mark.parametrize(
    ("calls", "answer", "end", "expected"),
    [
        ([], "", "error", ("endpoint error", "")),
        ([GREP], "", "repeated", ("loop", "the same call again")),
        ([GREP], "", "too_many_calls", ("loop", "too many calls")),
        ([GREP], "so many", "cut", ("cut", "")),
        ([], '```json\n{"name": "read_file", "arguments": {"path": "a"}}\n```', "answered", ("malformed call", "")),
        ([], '<tool_call>{"name"', "cut", ("malformed call", "cut off")),
        ([], "I'm sorry, but I cannot look into files.", "answered", ("refused", "")),
        ([], "There are 7.", "answered", ("no call", "")),  # guessed, and right by luck
        ([], "Let me explain how", "cut", ("no call", "cut off")),
        ([], "", "empty", ("no call", "")),
        ([FunctionCall("rm", "{}")], "8", "answered", ("wrong tool", "rm, which is not there")),
        ([READ], "8", "answered", ("wrong tool", "read_file instead of run_command")),
        ([GREP], "8", "answered", ("unfinished", "1 of 2 calls")),
        ([GREP, READ], "8", "answered", ("wrong answer", "")),
        ([GREP, READ], "", "empty", ("said nothing", "")),
        ([GREP, READ, grep("x")], "8", "answered", ("wrong answer", "")),
    ],
)
def test_each_cause(
    tmp_path: Path, calls: list[FunctionCall], answer: str, end: End, expected: tuple[str, str]
) -> None:
    assert cause(item(tmp_path), calls, answer, end) == expected


@pytest.mark.parametrize(
    ("call", "detail"),
    [
        (grep("-rn", "class Kettel", "src"), "pattern, copied with a mistake"),
        (grep("-rn", "def pour", "src"), "pattern"),
        (grep("-rn", "class Kettle", "srcs"), "path, copied with a mistake"),
        (grep("-rn", "class Kettle", "tests/brewing"), "path"),
        (grep("-rl", "class Kettle", "src"), "options"),
        (FunctionCall("run_command", '{"command": "find", "args": ["."]}'), "command"),
        (FunctionCall("run_command", '{"command": "grep", "args": 7}'), "args that are no list"),
        (FunctionCall("run_command", '{"command": "grep", "args": ["-rn",'), "no JSON object"),
        (FunctionCall("run_command", "[" * 100_000), "no JSON object"),
    ],
)
def test_which_argument_is_wrong(tmp_path: Path, call: FunctionCall, detail: str) -> None:
    assert cause(item(tmp_path), [call], "8") == ("wrong arguments", detail)


def test_a_file_that_was_miscopied(tmp_path: Path) -> None:
    call = FunctionCall("read_file", '{"path": "src/ketle.py"}')
    assert cause(item(tmp_path), [GREP, call], "8") == ("wrong arguments", "path, copied with a mistake")


@pytest.mark.parametrize(
    ("calls", "answer", "end", "expected"),
    [
        ([READ], "There are 7.", "answered", "needless call"),
        ([READ], "", "cut", "needless call"),
        ([], "8", "answered", "wrong answer"),
        ([], "", "empty", "said nothing"),
        ([], "well", "cut", "cut"),
        ([], "I cannot help with that.", "answered", "refused"),
    ],
)
def test_where_no_tool_is_needed(
    tmp_path: Path, calls: list[FunctionCall], answer: str, end: End, expected: str
) -> None:
    found = cause(item(tmp_path, []), calls, answer, end)
    assert found is not None
    assert found[0] == expected


def test_calls_are_told_by_what_they_mean(tmp_path: Path) -> None:
    """In another vocabulary the same calls have other names, and are compared by what they mean."""
    vocabularies = load_vocabularies(CHECKOUT / "data" / "vocabularies")
    for vocabulary in vocabularies.values():
        spoken = vocabulary.spoken(PLAN[1])
        wrong = vocabulary.spoken(Call("read_file", {"path": "src/other.py"}))
        if spoken is None or wrong is None:
            continue
        one = item(tmp_path, PLAN[1:])
        one = Item(one.question, one.toolbox.offering(vocabulary))
        import json

        right = FunctionCall(spoken.name, json.dumps(spoken.arguments))
        missed = FunctionCall(wrong.name, json.dumps(wrong.arguments))
        assert cause(one, [right], "8") == ("wrong answer", "")
        found = cause(one, [missed], "8")
        assert found is not None
        assert found[0] == "wrong arguments", vocabulary.name


def test_every_cause_has_words_and_a_remedy() -> None:
    assert CAUSES.keys() == HELP.keys()


def test_failures_are_counted_by_cause_and_kind() -> None:
    ones = [Failure(kind, "search", "explore", why, "?") for kind, why in (("a", "cut"), ("b", "loop"), ("a", "loop"))]
    assert counted(ones) == {"loop": 2, "cut": 1}
    assert wanted(ones) == {"loop": {"b": 1, "a": 1}, "cut": {"a": 1}}


@pytest.mark.parametrize(
    "text", ["It takes {a: 1}.", "Use `grep -rn`.", "", "{}" * 1000, "the path: x {", "[ToolCall]", '{"items": [1]}']
)
def test_plain_words_are_no_call(text: str) -> None:
    assert not looks_like_a_call(text)


@settings(max_examples=60, deadline=2000)
@given(st.text(max_size=300), st.text(max_size=300), st.sampled_from(["answered", "cut", "repeated"]))
def test_whatever_a_model_writes_has_one_known_cause(arguments: str, answer: str, end: End) -> None:
    one = item(CHECKOUT)
    for calls in ([], [FunctionCall("run_command", arguments)], [FunctionCall(arguments, arguments)]):
        found = failure(one, told(one, calls, answer, end))
        assert found is None or found.cause in CAUSES


def test_a_long_answer_takes_no_time() -> None:
    import time

    start = time.perf_counter()
    looks_like_a_call('{"' * 500_000 + '"arguments"' + " " * 500_000)
    assert time.perf_counter() - start < 0.5
