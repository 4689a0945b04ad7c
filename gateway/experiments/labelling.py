"""Labels of what a student served: the teacher is asked the same when nobody waits, and the answers are compared.

Owns which answers wait for that, and when the teacher may be asked. What a label is for is told elsewhere.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

import msgspec
import structlog

from distill.outcome import Outcome
from gateway.access.underway import UnderWay
from gateway.answering.answer import Cascade
from gateway.answering.reply import Whole
from gateway.answering.teachers import Teachers
from gateway.answering.turn import Ask, Turn
from gateway.errors import GatewayError
from gateway.recording.recorder import Recorder
from router.chat import WHOLE, AnswerMessage, Choice

_log = structlog.get_logger("labelling")
_MOST = 50  # answers that wait, each with its request; of more the oldest are left out
_LONGEST_SECONDS = 600.0  # after which an answer no longer waits for a gateway without requests
_PAUSE_SECONDS = 0.05


class Waiting(msgspec.Struct, frozen=True):
    """An answer to be compared; `told` hears whether it was worse than the teacher's."""

    turn: Turn
    since: float
    told: Callable[[bool], None]


class Labelling:
    """`quiet` are seconds without a request before the teacher is asked; it is told at each look, since it may change.
    `take_up` says who is asked."""

    def __init__(self, under_way: UnderWay, recorder: Recorder, quiet: Callable[[], float]) -> None:
        self._under_way = under_way
        self._recorder = recorder
        self._quiet = quiet
        self._waiting: deque[Waiting] = deque(maxlen=_MOST)
        self._something = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._cascade: Cascade | None = None
        self._teachers: Teachers | None = None

    def take_up(self, cascade: Cascade, teachers: Teachers) -> None:
        """Ask this cascade from now on."""
        self._cascade, self._teachers = cascade, teachers

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="labelling")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def put(self, turn: Turn, told: Callable[[bool], None]) -> None:
        """An answer that a client got whole, and whose trace is kept."""
        self._waiting.append(Waiting(turn, time.monotonic(), told))
        self._something.set()

    async def _run(self) -> None:
        while True:
            await self._something.wait()
            if not self._waiting:
                self._something.clear()
                continue
            if not self._may_ask(self._waiting[0]):
                await asyncio.sleep(_PAUSE_SECONDS)
                continue
            await self._label(self._waiting.popleft())

    def _may_ask(self, waiting: Waiting) -> bool:
        """Whether the teacher has nothing to do and, as long as an answer can wait, nobody else has."""
        if self._teachers is None:
            return False
        teacher = self._teachers.first
        if not teacher.up:
            teacher.get_ready()  # in memory that nobody uses, or not at all
            return False
        idle = teacher.backend.in_flight == 0 and teacher.backend.patience.waiting == 0
        patient = time.monotonic() - waiting.since < _LONGEST_SECONDS
        return idle and (not patient or self._under_way.quiet_for >= self._quiet())

    async def _label(self, waiting: Waiting) -> None:
        turn = waiting.turn
        try:
            said = await self._asked(turn.ask)
            if said is None:
                return
            worse = await asyncio.to_thread(_worse, turn, said)
            self._recorder.put(Outcome(turn.id, "sample", round(time.time(), 3), sample=said))
            waiting.told(worse)
        except GatewayError as error:
            _log.warning("not compared", trace=turn.id, error=type(error).__name__)
        except Exception as error:  # noqa: BLE001 - one answer that cannot be compared must not end the rest
            _log.error("not compared", exc_info=error, trace=turn.id)

    async def _asked(self, ask: Ask) -> AnswerMessage | None:
        """What the teacher says to it; None where that is cut off or empty."""
        assert self._cascade is not None
        request = msgspec.structs.replace(ask.request, stream=None, stream_options=None)
        body = {name: value for name, value in ask.body.items() if name not in ("stream", "stream_options")}
        again = msgspec.structs.replace(
            ask,
            request=request,
            body=body,
            requested="teacher",
            model="",
            rights=msgspec.structs.replace(ask.rights, record=False),
            deadline=None,
            may_repeat=False,
        )
        async with self._cascade.answer(Turn(again)) as answer:
            assert isinstance(answer, Whole)
            choice = answer.response.choices[0]
            says = choice.message.tool_calls or (choice.message.content or "").strip()
            return choice.message if says and choice.finish_reason in WHOLE else None


def _worse(turn: Turn, said: AnswerMessage) -> bool:
    """Whether the answer that a client got is worse than what the teacher says."""
    from distill.routing.comparing import compared  # few gateways need it, and all would wait for it

    assert turn.answer is not None
    return compared(turn.ask.request, Choice(turn.answer, turn.finish_reason), [said]).worse
