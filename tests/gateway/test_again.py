"""A trace's request put to the teacher once more by the night: as it was, warm, untraced."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from distill.day import Day, DayError, DayRefused
from distill.trace import Trace
from gateway.backends.scripted import Act
from router.chat import AnswerMessage, ChatRequest, Message
from router.decision import Decision
from tests.gateway.running import READ_FILE, Running, Script, elsewhere

pytestmark = pytest.mark.gateways


def test_the_teacher_is_asked_again(tmp_path: Path) -> None:
    asked = {
        "model": "nightschool",
        "messages": [{"role": "user", "content": "Where is it?"}],
        "tools": [READ_FILE],
        "temperature": 0,
        "stream": True,
        "top_k": 7,
        "metadata": {"folder": "/src/secret", "incomplete": True},
    }
    with (
        Script(Act(text="Mine.", logprob=-9.0)) as student,
        Script(Act(text="There.")) as teacher,
        Running(tmp_path, student.url, teacher.url) as gateway,
    ):
        status, told, _ = gateway.call("/v1/chat/completions", asked)
        assert (status, told["x-nightschool-served-by"]) == (200, "teacher")
        gateway.wait(lambda health: health["traces"]["written"] == 1)
        trace = msgspec.convert(gateway.trace(told), Trace, strict=False)
        answers = asyncio.run(_again(gateway, trace, 2))
        assert answers == [AnswerMessage("There.")] * 2
        first, second = (seen.body for seen in teacher.asked[-2:])
        assert first["messages"] == asked["messages"]
        assert first["tools"] == asked["tools"]
        assert (first["top_k"], first["temperature"], first["seed"], second["seed"]) == (7, 0.7, 1, 2)
        assert not first.get("stream")
        assert "metadata" not in first
        assert gateway.get("/health")["traces"]["written"] == 1  # none of it left a trace


async def _again(gateway: Running, trace: Trace, count: int) -> list[AnswerMessage]:
    async with Day.of_home(gateway.url, gateway.home / "data") as day:
        return [await day.again(trace, number) for number in range(count)]


@pytest.mark.parametrize(
    ("act", "refused", "said"),
    [
        (Act(text=" "), True, "teacher said nothing"),
        (Act(text="It is in", finish="length"), True, r"teacher's answer was cut off \(length\)"),
        (Act(status=400), True, "400"),
        (Act(status=413), True, "413"),
        (Act(status=404), False, "404"),
        (Act(status=401), False, "502"),
        (Act(raw=b'{"choices":[]}'), False, "."),
        (Act(calls=[("read_file", "{")]), None, ""),
    ],
)
def test_what_the_teacher_does_not_answer_is_told_from_a_teacher_that_is_away(
    tmp_path: Path, act: Act, refused: bool | None, said: str
) -> None:
    request = ChatRequest("nightschool", [Message("user", "Where is it?")], tools=[])
    trace = Trace("t", 0.0, "c", request, "completed", Decision("teacher", "requested"))
    with Script(act) as teacher, Running(tmp_path, teacher.url, teacher.url) as gateway:
        if refused is None:
            (answer,) = asyncio.run(_again(gateway, trace, 1))
            assert "tools" not in teacher.asked[-1].body  # endpoints refuse a list of none
            assert answer.tool_calls  # whether it is a good one is for the filters to say
            return
        with pytest.raises(DayError, match=said) as raised:
            asyncio.run(_again(gateway, trace, 1))
        assert isinstance(raised.value, DayRefused) == refused


def test_where_the_teacher_is_elsewhere_what_stays_here_is_refused(tmp_path: Path) -> None:
    request = ChatRequest("nightschool", [Message("user", "Where is it?")])
    trace = Trace("t", 0.0, "c", request, "completed", Decision("teacher", "requested"), may_leave_machine=False)
    with Script(Act(text="There.")) as teacher, Running(tmp_path, teacher.url, elsewhere(teacher.url)) as gateway:
        with pytest.raises(DayRefused, match="may not leave the machine"):
            asyncio.run(_again(gateway, trace, 1))
        assert not teacher.asked
