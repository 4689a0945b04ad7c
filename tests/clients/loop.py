"""A tool loop and a follow-up question, as every client has to bring them to their end.

The models behind the gateway do what the user's words say (`gateway.backends.scripted_loop`): two calls at once, a call
that fails, an answer out of the results; then, in the same conversation, another call and an answer out of all results.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from itertools import count
from typing import Any

import msgspec

from distill.store.store import TraceStore
from distill.trace import Trace
from gateway.backends.scripted import Act, Play
from gateway.backends.scripted_loop import obey
from tests.gateway.running import Running, Script

FILES = {"a.py": "one", "b.py": "two", "c.py": "three"}
DESCRIPTION = "Read a file."
SCHEMA: dict[str, Any] = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}
ARMS = {  # what is asked for, the reason of each answer in the traces, and how often student and teacher are asked
    "student": ("nightschool", ["verified"] * 5, [5, 0]),
    "teacher": ("teacher", ["requested"] * 5, [0, 5]),
    "escalated": ("nightschool", ["doubtful", "sticky", "sticky", "doubtful", "sticky"], [2, 5]),
}
_NUMBERS = count(1)


def read_file(path: str) -> str:
    """Read a file."""
    if path not in FILES:
        raise FileNotFoundError(f"there is no file {path}")
    return FILES[path]


class Loop:
    """One conversation. `arm`: the student's verified drafts, a teacher that is asked for, or one that takes over."""

    def __init__(self, gateway: Running, student: Script, teacher: Script, arm: str) -> None:
        self.gateway = gateway
        self.url = gateway.url
        self.model, self._reasons, self._asked = ARMS[arm]
        self.reason = self._reasons[0]
        """Why the arm has the first answer."""
        self._arm = arm
        self._scripts = (student, teacher)
        self.answer_with(obey)
        self._before = asyncio.run(self._watermark())
        self.question, self.follow_up = orders("read_file", lambda name: {"path": name})

    def answer_with(self, *script: Play) -> None:
        """What the arm's model says; where the teacher takes over, the student is never sure."""
        student, teacher = self._scripts
        student.play(*(script if self._arm == "student" else [Act(text="Well.", logprob=-9.0)]))
        teacher.play(*script)

    def check(self, first: str, second: str, *, wire: str, usage: tuple[int, int]) -> list[Trace]:
        """The two answers quote what `read_file` gave, and `check_traces` is content."""
        assert first.startswith("one | two | "), first
        assert "there is no file none.py" in first
        assert second == f"{first} | three"
        return self.check_traces(wire=wire, usage=usage)

    def check_traces(self, *, wire: str, usage: tuple[int, int]) -> list[Trace]:
        """The traces of the five answers, once models and traces saw just these, in one conversation.

        `usage` is what the client counted: tokens of the prompts and of the answers. What agents ask besides, titles
        for instance, comes without tools and does not count.
        """
        everything = self.written(5)
        assert {trace.state for trace in everything} == {"completed"}
        traces = [trace for trace in everything if trace.request.tools]
        assert [trace.decision.reason for trace in traces] == self._reasons
        assert [trace.turn for trace in traces] == [0, 1, 2, 3, 4]
        assert {trace.wire for trace in traces} == {wire}
        assert len({trace.conversation for trace in traces}) == 1
        assert [sum("tools" in seen.body for seen in script.asked) for script in self._scripts] == self._asked
        told = [trace.usage for trace in traces if trace.usage is not None]
        assert usage == (sum(one.prompt_tokens for one in told), sum(one.completion_tokens for one in told))
        assert len(told) == 5
        return traces

    def written(self, expected: int) -> list[Trace]:
        """The traces since the beginning, once as many as expected are there and none waits to be written."""
        end = time.monotonic() + 10
        while True:
            waiting = self.gateway.get("/health")["traces"]["waiting"]
            found = asyncio.run(self._read())
            if (not waiting and len(found) >= expected) or time.monotonic() > end:
                return found
            time.sleep(0.03)

    async def _watermark(self) -> int:
        async with await self._store() as store:
            return await store.watermark()

    async def _read(self) -> list[Trace]:
        async with await self._store() as store:
            return [trace for _, trace in await store.after(self._before)]

    async def _store(self) -> TraceStore:
        return await TraceStore.open_to_read(self.gateway.home / "data" / "traces.db")


def orders(tool: str, arguments: Callable[[str], dict[str, Any]]) -> tuple[str, str]:
    """The question and the follow-up, for a tool that reads a file; `arguments` of its call by the file's name."""
    a, b, none, c = (
        f"call {tool} {msgspec.json.encode(arguments(name)).decode()}" for name in ("a.py", "b.py", "none.py", "c.py")
    )
    return f"Conversation {next(_NUMBERS)}.\n{a}\n{b}\nthen\n{none}", f"And the last one?\n{c}\nrecall"
