"""A stream without end, read as fast as it comes: the client gets all of it, the trace a part, memory stays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from distill.filters import Rules, Told, explain
from distill.trace import Trace
from gateway.backends.scripted import Act
from gateway.backends.stream import DONE, MOST_KEPT, Collector, Splitter, encode_event
from tests.bench.machine import resident
from tests.gateway.running import Running, Script


def event(**delta: Any) -> bytes:
    return encode_event({"id": "c", "choices": [{"index": 0, "delta": delta}]})


END = encode_event({"id": "c", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
FORMS = {
    "text": event(content="word " * 3000),
    "thoughts": event(reasoning_content="word " * 3000),
    "arguments": event(tool_calls=[{"index": 0, "function": {"arguments": "word " * 3000}}]),
}


@pytest.mark.parametrize("piece", [{"content": "ab"}, {"refusal": "ab"}, {"tool_calls": [{"index": 7, "id": "x"}]}])
def test_small_pieces_fill_it_too(piece: dict[str, Any]) -> None:
    collector, events = Collector(), Splitter().feed(event(**piece) * 1000)
    taken = 0
    while not collector.full:
        collector.take(events)
        taken += 1000
    assert MOST_KEPT / 80 < taken < MOST_KEPT / 60
    kept = len(msgspec.json.encode(collector.message))
    collector.take(Splitter().feed(END))
    assert (collector.finish_reason, len(msgspec.json.encode(collector.message))) == ("stop", kept)


@pytest.mark.gateways
@pytest.mark.parametrize("form", FORMS)
def test_an_answer_without_end_is_cut_for_the_trace_alone(tmp_path: Path, form: str) -> None:
    pieces = [FORMS[form]] * ((6 if form == "text" else 2) * MOST_KEPT // 15_000)
    endless = Act(raw=[*pieces, END, DONE])
    with (
        Script(Act(text="s")) as student,
        Script(endless) as teacher,
        Running(tmp_path, student.url, teacher.url) as gateway,
    ):
        gateway.wait_ready()
        before = resident(gateway.process.pid)
        body = {"model": "teacher", "stream": True, "messages": [{"role": "user", "content": "Hi"}]}
        status, told, answer = gateway.call("/v1/chat/completions", body)
        grown = resident(gateway.process.pid) - before
        assert (status, answer.count(b"word")) == (200, len(pieces) * 3000)
        assert grown < 4 * MOST_KEPT
        teacher.play(Act(text="There."))
        assert gateway.chat("And now?", "teacher")[0] == 200
        trace = msgspec.convert(gateway.trace(told), Trace)
    said = msgspec.json.encode(trace.answer)
    assert MOST_KEPT * 0.9 < len(said) <= MOST_KEPT * 1.1
    assert (trace.state, trace.finish_reason, trace.teach) == ("completed", "length", False)
    assert trace.error.startswith("AnswerTooLong: ")
    for teach in (False, True):
        (one,) = explain([msgspec.structs.replace(trace, teach=teach)], Told(Rules(confirm=False))).trajectories
        assert one.learnt == []


@pytest.mark.gateways
def test_a_draft_without_end_is_given_up(tmp_path: Path) -> None:
    endless = Act(raw=[FORMS["arguments"]] * (2 * MOST_KEPT // 15_000))
    settings = {"router__hold": "fast", "router__confidence": 0}
    with (
        Script(endless) as student,
        Script(Act(text="There.")) as teacher,
        Running(tmp_path, student.url, teacher.url, **settings) as gateway,
    ):
        gateway.wait_ready()
        body = {"model": "nightschool", "stream": True, "messages": [{"role": "user", "content": "Hi"}]}
        status, told, answer = gateway.call("/v1/chat/completions", body)
        assert (status, told["x-nightschool-reason"]) == (200, "student_failed")
        assert b"There." in answer
        assert gateway.trace(told)["decision"]["detail"] == "The student's draft has no end."
