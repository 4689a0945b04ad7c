"""A tool loop and a follow-up question, as every client has to bring them to their end.

The models behind the gateway do what the user's words say (`gateway.scripted_loop`): two calls at once, a call that
fails, an answer out of the results; then, in the same conversation, another call and an answer out of all results.
"""

from __future__ import annotations

import asyncio
import time
from itertools import count
from typing import Any

from distill.store import TraceStore
from distill.trace import Trace
from gateway.scripted import Act
from gateway.scripted_loop import obey
from tests.gateway.running import Running, Script

FILES = {"a.py": "one", "b.py": "two", "c.py": "three"}
MISSING = "there is no file none.py"
DESCRIPTION = "Read a file."
SCHEMA: dict[str, Any] = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}
ARMS = {  # what is asked for, the reason of each answer in the traces, and how often student and teacher are asked
    "student": ("nightschool", ["verified"] * 5, (5, 0)),
    "teacher": ("teacher", ["requested"] * 5, (0, 5)),
    "escalated": ("nightschool", ["doubtful", "sticky", "sticky", "doubtful", "sticky"], (2, 5)),
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
        self.url = gateway.url
        self.model, self._reasons, self._asked = ARMS[arm]
        self._gateway = gateway
        self._scripts = (student, teacher)
        student.play(obey if arm == "student" else Act(text="Well.", logprob=-9.0))
        teacher.play(obey)
        self._before = asyncio.run(self._watermark())
        self.question = f"Conversation {next(_NUMBERS)}.\n{_read('a.py')}\n{_read('b.py')}\nthen\n{_read('none.py')}"
        self.follow_up = f"And the last one?\n{_read('c.py')}\nrecall"

    def check(self, first: str, second: str, *, wire: str, usage: tuple[int, int]) -> list[Trace]:
        """The two answers are right, and so is what the models and the traces saw of it.

        `usage` is what the client counted: tokens of the prompts and of the answers.
        """
        assert first.startswith("one | two | "), first
        assert MISSING in first
        assert second == f"{first} | three"
        traces = self.traces(5)
        assert [trace.state for trace in traces] == ["completed"] * 5
        assert [trace.decision.reason for trace in traces] == self._reasons
        assert [trace.turn for trace in traces] == [0, 1, 2, 3, 4]
        assert {trace.wire for trace in traces} == {wire}
        assert len({trace.conversation for trace in traces}) == 1
        assert tuple(len(script.asked) for script in self._scripts) == self._asked
        told = [trace.usage for trace in traces if trace.usage is not None]
        assert usage == (sum(one.prompt_tokens for one in told), sum(one.completion_tokens for one in told))
        assert len(told) == 5
        return traces

    def traces(self, expected: int) -> list[Trace]:
        """The traces since the beginning, once as many as expected are written, and those that came besides."""
        end = time.monotonic() + 10
        while True:
            all_written = self._gateway.get("/health")["traces"]["waiting"] == 0
            found = asyncio.run(self._written())
            if (all_written and len(found) >= expected) or time.monotonic() > end:
                return found
            time.sleep(0.03)

    async def _watermark(self) -> int:
        async with await self._store() as store:
            return await store.watermark()

    async def _written(self) -> list[Trace]:
        async with await self._store() as store:
            return [trace for _, trace in await store.after(self._before)]

    async def _store(self) -> TraceStore:
        return await TraceStore.open_to_read(self._gateway.home / "data" / "traces.db")


def _read(path: str) -> str:
    return f'call read_file {{"path": "{path}"}}'
