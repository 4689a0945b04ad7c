"""The canary: a new adapter that serves a growing share of the conversations until it is promoted or rolled back.

Owns what of a turn counts for or against it, and that what router.canary decides is done and written down. Knows
nothing of how conversations are divided or of what a label is.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import msgspec
import structlog

from distill.results import failed
from distill.trace import Trace, conversation_key
from gateway.answering.pinning import serving
from gateway.answering.promotion import Promotion
from gateway.answering.turn import Turn
from gateway.errors import Conflict, GatewayError
from gateway.experiments.book import Book, Entry, State
from gateway.experiments.labelling import Labelling
from router.canary import (
    CANDIDATE,
    INCUMBENT,
    Canary,
    Pace,
    advanced,
    assigned,
    begin,
    drafted,
    formed,
    heard,
    labelled,
    move,
    rewound,
)
from router.chat import WHOLE
from router.decision import Decision
from router.experiment import Experiment, Variant
from router.lot import lot

_log = structlog.get_logger("canary")
_SPEAKS = 0.5  # chance of a turn to be the one that speaks for its conversation, where none did
_QUARANTINE_SECONDS = 86_400.0  # after a roll-back, before the same adapter may be tried again
PREFIX = "canary-"  # of a canary's name as an experiment


class Canaries:
    """At most one canary runs at a time; it goes on after a restart. `pace` is asked when one begins; `settled` returns
    once the requests of now have ended."""

    def __init__(
        self,
        book: Book,
        promotion: Promotion,
        labelling: Labelling,
        pace: Callable[[], Pace],
        settled: Callable[[], Awaitable[None]],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._book = book
        self._promotion = promotion
        self._labelling = labelling
        self._pace = pace
        self._settled = settled
        self._clock = clock
        self._endings: set[asyncio.Task[None]] = set()
        for entry in self._runs():
            if promotion.live is not None and promotion.live.adapter == _adapter(entry):  # killed in between
                self._end(entry, "promoted", "")

    @property
    def running(self) -> Entry | None:
        return next(iter(self._runs()), None)

    def check(self, adapter: str) -> None:
        """Raises Conflict where an adapter may not become a canary now."""
        self._promotion.check_free(adapter)
        before, running = self._book.entries.get(PREFIX + adapter), self.running
        if any(entry.canary is None and entry.experiment.layer == "student" for entry in self._book.running):
            raise Conflict("An experiment between students runs: `nightschool experiment stop NAME` ends it.")
        if running is not None and _adapter(running) != adapter:
            raise Conflict(f"{_adapter(running)} is a canary already: `nightschool experiment status` shows it.")
        if before is not None and before.state == "rolled_back":
            left = (before.ended or 0.0) + _QUARANTINE_SECONDS - self._clock()
            if 0 < left <= _QUARANTINE_SECONDS:
                raise Conflict(f"{adapter} was rolled back ({before.why}): try again in {left / 3600:.0f} hours.")

    def begin(self, adapter: str, path: Path) -> Entry:
        """Let an adapter that the engine has loaded serve the first conversations; the one that runs, if it is its.
        Raises Conflict."""
        name, now = PREFIX + adapter, self._clock()
        self.check(adapter)  # while it was loaded another one may have begun
        if self.running is not None:
            return self.running
        if name in self._book.entries:
            self._book.drop(name)
        canary = begin(now, self._pace())
        entry = Entry(_experiment(adapter, canary), now, canary=canary, path=str(path))
        self._book.write(entry)
        _log.info("canary begins", adapter=adapter)
        return entry

    def assigned(self, arm: str) -> None:
        """A conversation got an arm of the canary's."""
        if (entry := self.running) is not None and entry.canary is not None:
            self._take(entry, assigned(entry.canary, arm))

    def restart(self) -> None:
        """Begin the canary anew, from its first step: student or teacher are others now, and so is all evidence."""
        if (entry := self.running) is not None:
            canary = begin(self._clock(), self._pace())
            experiment = _experiment(_adapter(entry), canary)
            self._book.write(msgspec.structs.replace(entry, canary=canary, experiment=experiment))
            _log.info("canary begins anew", adapter=_adapter(entry))

    def lost(self) -> None:
        """The candidate's engine does not know it any more."""
        if (entry := self.running) is not None:
            self._roll_back(entry, "its adapter is gone")

    @property
    def adapter(self) -> str:
        """The candidate; empty: none."""
        return _adapter(entry) if (entry := self.running) is not None else ""

    def roll_back(self) -> str:
        """End the canary, since somebody wants it; the candidate, empty: there was none."""
        if (entry := self.running) is None:
            return ""
        self._roll_back(entry, "somebody rolled it back")
        return _adapter(entry)

    def quarantine(self, adapter: str, folder: Path) -> None:
        """Note that somebody rolled an adapter back that served: for a while it is not proposed again."""
        name, now = PREFIX + adapter, self._clock()
        if name in self._book.entries:
            self._book.drop(name)
        canary = begin(now, self._pace())
        why = "somebody rolled it back"
        self._book.write(Entry(_experiment(adapter, canary), now, "rolled_back", now, why, canary, str(folder)))

    def give_way(self, adapter: str) -> None:
        """End the canary, since somebody wants this adapter to serve everybody, "" the base: its own, as promoted."""
        if (entry := self.running) is None:
            return
        if _adapter(entry) == adapter:
            self._end(entry, "promoted", "somebody chose it")
        else:
            self._roll_back(entry, f"somebody chose {serving(adapter)}", "given_up")

    def ended(self, turn: Turn) -> None:
        """A turn is over: of each conversation one, by lot, speaks for it of each thing."""
        entry, arm = self._of(turn)
        if entry is None or entry.canary is None or turn.decision.reason == "cached":
            return
        name, canary = entry.experiment.name, entry.canary
        if (decided := _of_draft(turn)) is not None:
            canary = self._drafted(canary, name, arm, turn, decided)
        for kind, bad in _signs(turn).items():
            if self._speaks(name, turn, kind):
                canary = heard(canary, kind, arm, bad)
        if arm == CANDIDATE and _may_be_compared(turn) and self._speaks(name, turn, "label"):
            self._labelling.put(turn, lambda worse: self._labelled(name, worse))
        if canary != entry.canary:
            self._take(entry, canary)

    def rated(self, trace: Trace, score: float) -> None:
        """Somebody said how good an answer was; of each conversation the first time counts."""
        entry = self.running
        if entry is None or entry.canary is None:
            return
        name, conversation = entry.experiment.name, conversation_key(trace.client, trace.conversation)
        arm = trace.experiments.get(name)
        if arm is not None and self._book.first(name, conversation, "feedback"):
            self._take(entry, heard(entry.canary, "feedback", arm, score < 0))

    async def stop(self) -> None:
        for ending in self._endings:
            ending.cancel()
        await asyncio.gather(*self._endings, return_exceptions=True)

    def _runs(self) -> list[Entry]:
        return [entry for entry in self._book.running if entry.canary is not None]

    def _of(self, turn: Turn) -> tuple[Entry | None, str]:
        """The canary that a turn belongs to, and its arm."""
        entry, serving = self.running, turn.serving
        if entry is None or serving is None or entry.experiment.name not in serving.arms:
            return None, ""
        return entry, serving.arms[entry.experiment.name]

    def _drafted(self, canary: Canary, name: str, arm: str, turn: Turn, decided: Decision) -> Canary:
        """Whether the engine made a draft, and whether that was well-formed. One conversation counts for one failure in
        a row; what fails for both arms is not the candidate's."""
        failed = decided.reason == "student_failed"
        if arm != CANDIDATE:
            return drafted(canary, False) if failed else canary
        if not failed and self._speaks(name, turn, "form"):
            canary = formed(canary, decided.reason == "unverified")
        if failed and not self._book.first(name, turn.ask.conversation_key, "failure"):
            return canary
        return drafted(canary, failed)

    def _speaks(self, name: str, turn: Turn, what: str) -> bool:
        """Whether a turn is the one that speaks of something for its conversation."""
        return lot("speaks", name, what, turn.id) < _SPEAKS and self._book.first(name, turn.ask.conversation_key, what)

    def _labelled(self, name: str, worse: bool) -> None:
        entry = self.running
        if entry is not None and entry.canary is not None and entry.experiment.name == name:
            self._take(entry, labelled(entry.canary, worse))

    def _take(self, entry: Entry, canary: Canary) -> None:
        """Write down what is known now, and do what follows."""
        now = self._clock()
        canary = rewound(canary, now)
        entry = msgspec.structs.replace(entry, canary=canary)
        what, why = move(canary, now)
        if what == "advance":
            canary = advanced(canary, now)
        elif what == "pause":
            canary = msgspec.structs.replace(canary, paused=why)
        if canary is not entry.canary:
            _log.info("canary", adapter=_adapter(entry), move=what, why=why)
            experiment = _experiment(_adapter(entry), canary)
            entry = msgspec.structs.replace(entry, canary=canary, experiment=experiment)
        self._book.write(entry)
        if what == "promote":
            self._promote(entry, why)
        elif what == "roll_back":
            self._roll_back(entry, why)
        elif what == "give_up":
            self._roll_back(entry, why, "given_up")

    def _promote(self, entry: Entry, why: str) -> None:
        def runs() -> bool:
            return self._book.entries[entry.experiment.name].running

        async def promote() -> None:
            try:
                await self._promotion.promote(_adapter(entry), runs)
            except (Conflict, OSError) as error:
                if runs():
                    self._roll_back(entry, f"it could not be promoted: {error}")
            else:
                self._end(entry, "promoted", why)

        if not self._endings:
            self._begin(promote())

    def _roll_back(self, entry: Entry, why: str, state: State = "rolled_back") -> None:
        async def remove() -> None:
            await self._settled()  # requests that were given it have to find it in the engine
            try:
                await self._promotion.remove(_adapter(entry))
            except GatewayError as error:  # it serves nobody all the same
                _log.warning("candidate not unloaded", adapter=_adapter(entry), error=str(error))

        self._end(entry, state, why)  # from here on no request is the candidate's
        self._begin(remove())

    def _begin(self, ending: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(ending, name="canary-ends")
        self._endings.add(task)
        task.add_done_callback(self._endings.discard)

    def _end(self, entry: Entry, state: State, why: str) -> None:
        self._book.write(msgspec.structs.replace(entry, state=state, ended=self._clock(), why=why))
        _log.info("canary is over", adapter=_adapter(entry), state=state, why=why)


def _experiment(adapter: str, canary: Canary) -> Experiment:
    """A canary as what it is: an experiment whose shares grow."""
    arms = Variant(INCUMBENT, 1 - canary.share), Variant(CANDIDATE, canary.share, adapter=adapter)
    return Experiment(PREFIX + adapter, arms)


def _adapter(entry: Entry) -> str:
    return entry.experiment.arms[1].adapter or ""


def _of_draft(turn: Turn) -> Decision | None:
    """What was decided on the draft of a turn's arm, whoever answered in the end; None: there was none."""
    return next((call.decision for call in turn.calls if call.is_draft), None)


def _signs(turn: Turn) -> dict[str, bool]:
    """What a turn shows of its arm, and whether that is bad; what it does not show is not there."""
    signs = {"failed": turn.state == "failed", "aborted": turn.state == "aborted"}
    if (decided := _of_draft(turn)) is not None:
        signs["unverified"] = decided.reason == "unverified"
    results = []
    for message in reversed(turn.ask.request.messages):
        if message.role != "tool":
            break
        results.append(message.text)
    if results:
        signs["tool_error"] = any(failed(text) for text in results)
    return signs


def _may_be_compared(turn: Turn) -> bool:
    """Whether a client got a whole answer of the student's that is kept."""
    whole = turn.state == "completed" and turn.answer is not None and turn.finish_reason in WHOLE
    return whole and turn.decision.arm == "student" and turn.ask.traced and turn.ask.rights.teach
