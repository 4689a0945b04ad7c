"""A trace's request put to the teacher once more by the night: as it was, warm, untraced."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from distill.day import Day
from distill.trace import Trace
from gateway.backends.scripted import Act
from router.chat import AnswerMessage
from tests.gateway.running import READ_FILE, Running, Script

pytestmark = pytest.mark.gateways


def test_the_teacher_is_asked_again(tmp_path: Path) -> None:
    asked = {
        "model": "nightschool",
        "messages": [{"role": "user", "content": "Where is it?"}],
        "tools": [READ_FILE],
        "temperature": 0,
        "stream": True,
        "top_k": 7,
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
        assert gateway.get("/health")["traces"]["written"] == 1  # none of it left a trace


async def _again(gateway: Running, trace: Trace, count: int) -> list[AnswerMessage]:
    async with Day.of_home(gateway.url, gateway.home / "data") as day:
        return [await day.again(trace, number) for number in range(count)]
