"""A trace that was exported comes back whole, in quarantine, and only once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from distill.formats import own, write
from distill.formats.lines import BadLine
from distill.trace import Draft, Served, Trace
from router.chat import (
    AnswerMessage,
    ChatRequest,
    FunctionCall,
    FunctionSpec,
    Message,
    TokenLogprob,
    Tool,
    ToolCall,
    Usage,
)
from router.decision import Decision

_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
_NUMBER = st.floats(0, 2e9, allow_nan=False)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=6,
)
_CALLS = st.none() | st.lists(st.builds(ToolCall, _TEXT, st.builds(FunctionCall, _TEXT, _TEXT)), max_size=2)
_ANSWERS = st.builds(AnswerMessage, st.none() | _TEXT, _CALLS, reasoning_content=st.none() | _TEXT)
_MESSAGES = st.builds(
    Message,
    st.sampled_from(["system", "developer", "user", "assistant", "tool"]),
    st.none() | _TEXT | st.lists(st.dictionaries(_TEXT, _JSON, max_size=2), max_size=2),
    _CALLS,
    st.none() | _TEXT,
)
_REQUESTS = st.builds(
    ChatRequest,
    _TEXT,
    st.lists(_MESSAGES, min_size=1, max_size=4),
    tools=st.none()
    | st.lists(st.builds(Tool, st.builds(FunctionSpec, _TEXT, _TEXT, st.dictionaries(_TEXT, _JSON, max_size=2)))),
    temperature=st.none() | _NUMBER,
    metadata=st.none() | st.dictionaries(_TEXT, _JSON, max_size=2),
    extra=st.dictionaries(_TEXT, _JSON, max_size=2),
)
_TRACES = st.builds(
    Trace,
    id=_TEXT,
    created=_NUMBER,
    conversation=_TEXT,
    request=_REQUESTS,
    state=st.sampled_from(["completed", "failed", "aborted"]),
    decision=st.builds(
        Decision, st.sampled_from(["student", "teacher"]), st.sampled_from(["verified", "policy"]), _TEXT
    ),
    turn=st.integers(0, 9),
    answer=st.none() | _ANSWERS,
    draft=st.none()
    | st.builds(Draft, _ANSWERS, logprobs=st.none() | st.lists(st.builds(TokenLogprob, _TEXT, _NUMBER))),
    served=st.none() | st.builds(Served, st.lists(st.integers(0, 9)), st.lists(st.integers(0, 9))),
    usage=st.none() | st.builds(Usage, st.integers(0, 9), st.integers(0, 9), st.integers(0, 9)),
    seconds=st.dictionaries(_TEXT, _NUMBER, max_size=2),
    wire_id=_TEXT,
    client=_TEXT,
    tried=st.lists(_TEXT, max_size=2),
    teach=st.booleans(),
    may_leave_machine=st.booleans(),
    unread=st.dictionaries(_TEXT, _JSON, max_size=2),
)


def read(path: Path, traces: list[Trace]) -> list[Trace | BadLine]:
    path.write_bytes(b"".join(write.traces(traces)))
    return list(own.read(path))


def without(trace: Trace) -> Trace:
    return msgspec.structs.replace(trace, id="", client="", teach=False, may_leave_machine=False, parent="")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(traces=st.lists(_TRACES, max_size=4))
def test_export_and_import(tmp_path: Path, traces: list[Trace]) -> None:
    found = read(tmp_path / "t.jsonl", traces)
    taken = [one for one in found if isinstance(one, Trace)]
    assert len(taken) == len(found) == len(traces)
    assert [without(trace) for trace in taken] == [without(trace) for trace in traces]
    assert all(trace.id.startswith("import-") for trace in taken)
    assert not any(trace.teach or trace.may_leave_machine for trace in taken)
    assert {trace.client for trace in taken} <= {"import:traces"}
    assert read(tmp_path / "again.jsonl", taken) == taken


def trace(name: str, **more: Any) -> Trace:
    decided = Decision("teacher", "policy")
    request = ChatRequest("nightschool", [Message("user", name)])
    return Trace(name, 1.0, "c", request, "completed", decided, answer=AnswerMessage("Yes."), **more)


def test_the_id_that_the_client_saw_is_always_there() -> None:
    lines = list(write.traces([trace("a"), trace("b", wire_id="chatcmpl-1")]))
    assert [msgspec.json.decode(line)["wire_id"] for line in lines] == ["", "chatcmpl-1"]
    assert all(line.endswith(b"}\n") and line.count(b"\n") == 1 for line in lines)


def test_a_parent_goes_by_its_new_name(tmp_path: Path) -> None:
    first, second, third = read(tmp_path / "t.jsonl", [trace("a"), trace("b", parent="a"), trace("c", parent="gone")])
    assert isinstance(first, Trace)
    assert isinstance(second, Trace)
    assert isinstance(third, Trace)
    assert (first.parent, second.parent, third.parent) == ("", first.id, "")


def test_what_a_student_said_stays_the_students(tmp_path: Path) -> None:
    student = Decision("student", "verified")
    (taken,) = read(tmp_path / "t.jsonl", [msgspec.structs.replace(trace("a"), decision=student)])
    assert isinstance(taken, Trace)
    assert taken.decision == student


def test_broken_lines_are_listed(tmp_path: Path, taken: Callable[[Path], tuple]) -> None:
    good = b"".join(write.traces([trace("a")]))
    path = tmp_path / "t.jsonl"
    path.write_bytes(good + b"\n" + good[:40] + b"\n" + good.replace(b'"completed"', b'"done"') + good)
    traces, bad = taken(path)
    assert [one.id for one in traces] == [traces[0].id] * 2
    assert [one.line for one in bad] == [3, 4]
    assert "state" in bad[1].reason
