"""Diary: what each night did, as record.json in a folder of its own under data/nights.

Owns the form and that a night which was killed is taken up where it stood: the mark up to which it reads traces, and
what its budget was turned into, stay those of its beginning. Knows nothing of what the stages do.
"""

from __future__ import annotations

import hashlib
import math
import platform
import time
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import msgspec

from distill.atomic import write_atomically
from distill.errors import DistillError
from distill.naming import is_one

Outcome = Literal["", "promoted", "canary", "refused", "nothing", "doubted", "partial", "abandoned"]
Stage = Literal["label", "filter", "train", "examine", "certify", "propose"]
STAGES: tuple[Stage, ...] = ("label", "filter", "train", "examine", "certify", "propose")

RECORD, LEARNT = "record.json", "learnt.json"
_NAME = "%Y%m%dT%H%M%SZ"
_ELSEWHERE = 7200.0  # seconds without a word, after which another machine's night is taken for dead
_TELL = 2.0  # seconds
_FRESH = 129_600.0  # seconds: a night that was cut short longer ago than a day and a half is not gone on with


class Done(msgspec.Struct, frozen=True):
    """A stage that is over. `seconds` are those of the start that worked longest at it; `memory` is the most bytes that
    any process at work in it took, those of models included, 0 where nobody told."""

    ended: float
    seconds: float
    memory: int = 0


class Noise(msgspec.Struct, frozen=True):
    """How many questions what serves was asked once more, and of how many its marks were others than before."""

    asked: int
    changed: int


class Candidate(msgspec.Struct, frozen=True):
    """An adapter that a night made. `parent` is the adapter that its training began from, "" for the base; `verdict` is
    the verdict as its card has it, None until there is one; `too_long` of `wanted` conversations were left out of its
    training for their length."""

    adapter: str
    run: str
    dataset: str
    parent: str = ""
    steps: int = 0
    verdict: dict[str, Any] | None = None
    wanted: int = 0
    too_long: int = 0


class Record(msgspec.Struct):
    """A night. Times are Unix seconds. `watermark` is the mark up to which it reads traces, `inputs` the digest of its
    settings, `host` the machine that is at it. `datasets` are the names of what it learns from, by "whole" and "fresh";
    `steps` are those that its budget was turned into, by run; `questions` is the digest of what was asked. `served` was
    live when it began, `serves` when it ended; `chosen` is the adapter that is proposed, or the best of those refused.
    `teacher_tokens` are those that asking the teacher again took; `certified` are the adapters whose labels this night
    put to a test, "" for what served.
    """

    name: str
    began: float
    watermark: int
    inputs: str
    served: str = ""
    ended: float | None = None
    outcome: Outcome = ""
    reason: str = ""
    host: str = ""
    stages: dict[str, Done] = {}
    datasets: dict[str, str] = {}
    steps: dict[str, int] = {}
    questions: str = ""
    conversations: int = 0
    new: int = 0
    dropped: dict[str, int] = {}
    candidates: list[Candidate] = []
    chosen: str = ""
    serves: str = ""
    teacher_tokens: int = 0
    certified: list[str] = []
    noise: Noise | None = None


def began_at(night: str) -> float | None:
    """When a night began, in Unix seconds, as its name tells; None for no such name."""
    try:
        return datetime.strptime(night.partition("-")[0], _NAME).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None


def came_of(record: Record, serves: str, trial: Set[str]) -> tuple[Outcome, str]:
    """What the gateway did with what a night proposed, and the adapter, as what `serves` and what is on `trial` tell: a
    night that was killed may not have written it down. "" where that is nothing."""
    made = {one.adapter for one in record.candidates}
    if serves != record.served and serves in made:
        return "promoted", serves
    if tried := made & trial:
        return "canary", min(tried)
    return "", ""


def _passed(candidate: Candidate) -> bool:
    return bool((candidate.verdict or {}).get("passed"))


def from_base_due(before: Sequence[Record], every: int) -> bool:
    """Whether it is time for a candidate from the base: none of the last `every` - 1 nights that trained had one."""
    trained = [one for one in before if one.candidates][: every - 1]
    return not any(not found.parent for one in trained for found in one.candidates)


def read_learnt(nights: Path, night: str) -> frozenset[str]:
    """The ids of the traces that passed a night's filters; none where that cannot be read."""
    try:
        known = (nights / night / LEARNT).read_bytes() if is_one(night) else b"[]"
        return frozenset(msgspec.json.decode(known, type=list[str]))
    except (OSError, msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return frozenset()


class Diary:
    """The nights of one home. One process at a time writes it, which the caller sees to."""

    def __init__(self, nights: Path) -> None:
        self.nights = nights

    def begin(self, inputs: str, watermark: int, served: str, now: float, trial: Set[str] = frozenset()) -> Record:
        """The night that was cut short, if it had the same inputs and was not long ago; else a new one. Others that
        never ended are given up: what is `served` and on `trial` now tells what came of them. Raises NightElsewhere
        where another machine is at one: a lock does not reach that far on every disk that two share."""
        found, here = None, platform.node()
        for record in self.newest_first():
            if record.ended is None:
                written = (self.nights / record.name / RECORD).stat().st_mtime
                if record.host != here and now - written < _ELSEWHERE:
                    raise NightElsewhere(
                        f"the machine {record.host} is at a night of this home: wait for its end, or for "
                        f"{_ELSEWHERE / 60:.0f} minutes after it was last heard of"
                    )
                if found is None and self.resumable(record, inputs, now):
                    found = record
                else:
                    self._give_up(record, served, trial, now)
        if found is not None:
            found.host = here
            self.write(found)
            return found
        when = datetime.fromtimestamp(now, UTC).strftime(_NAME)
        told = hashlib.sha256(f"{inputs} {watermark} {now}".encode()).hexdigest()[:8]
        record = Record(f"{when}-{told}", now, watermark, inputs, served, host=here)
        (self.nights / record.name).mkdir(parents=True)
        self.write(record)
        return record

    def _give_up(self, record: Record, serves: str, trial: Set[str], now: float) -> None:
        """One that was killed once its adapter served, or was on trial, and before that was written down, did it."""
        outcome, chosen = came_of(record, serves, trial)
        if not outcome:
            self.end(record, "abandoned", "another night began before it was over", now)
            return
        record.chosen, record.serves = chosen, serves
        ended = max((done.ended for done in record.stages.values()), default=record.began)
        self.end(record, outcome, "killed before it could write this down", ended)

    def learnt(self, record: Record, traces: Iterable[str]) -> None:
        """Keep which traces passed the filters, so that another night knows what is new."""
        write_atomically(self.nights / record.name / LEARNT, msgspec.json.encode(sorted(traces)))

    def resumable(self, record: Record, inputs: str, now: float) -> bool:
        """Whether a night with these inputs would go on with that one."""
        return record.ended is None and record.inputs == inputs and now - record.began < _FRESH

    def write(self, record: Record) -> None:
        content = msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n"
        write_atomically(self.nights / record.name / RECORD, content)

    def end(self, record: Record, outcome: Outcome, reason: str, now: float) -> None:
        record.outcome, record.reason, record.ended = outcome, reason, now
        self.write(record)

    def newest_first(self) -> Iterator[Record]:
        """All nights that can be read."""
        for folder in sorted(self.nights.glob("[!.]*"), reverse=True):
            with suppress(OSError, msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
                record = msgspec.json.decode((folder / RECORD).read_bytes(), type=Record)
                if record.name == folder.name:
                    yield record

    def until(self, now: float) -> Iterator[Record]:
        """All nights that can be read, but for those that began later than `now`: under a clock that ran ahead."""
        return (one for one in self.newest_first() if one.began <= now)

    def last_ended(self, now: float = math.inf) -> Record | None:
        """The newest night until now that came to an end, whatever the end."""
        return next((one for one in self.until(now) if one.ended is not None and one.outcome != "abandoned"), None)

    def last_began(self, but: Record | None, now: float) -> float:
        """When the newest other night until now that looked at all there was began, in Unix seconds; 0: there was
        none."""
        looked = (one for one in self.until(now) if "filter" in one.stages or one.outcome in ("nothing", "doubted"))
        return next((one.began for one in looked if but is None or one.name != but.name), 0.0)

    def judged_before(self, record: Record, from_base: int) -> str:
        """Why to train and judge it all again would say the same and use verdicts up, in words: there is another night
        with the same settings, beside what serves and from the same datasets, that trained all it could and refused it.
        "" where there is none, or one from the base is due after so many nights."""
        others = [one for one in self.newest_first() if one.name != record.name]
        alike = (
            one
            for one in others
            if (one.inputs, one.served, one.datasets) == (record.inputs, record.served, record.datasets)
        )
        refused = (one for one in alike if one.outcome == "refused")
        whole = (one for one in refused if not any(map(_passed, one.candidates)) and not any(one.steps.values()))
        if (found := next(whole, None)) is None or from_base_due(others, from_base):
            return ""
        return f"nothing came since {found.name}, which refused what could be learnt of it"

    def verdicts_on(self, questions: str, but: str = "") -> int:
        """How many verdicts were given on these questions, in nights before the one that is called `but`."""
        before = [one for one in self.newest_first() if one.questions == questions and one.name != but]
        return sum(found.verdict is not None for one in before for found in one.candidates)


class NightElsewhere(DistillError):
    """Another machine is at a night of this home."""


class NightStopped(DistillError):
    """The night stopped where it was told to; started again, it goes on."""


class UnderWay:
    """A night at work: what it does is written down as it goes."""

    def __init__(self, diary: Diary, record: Record, until: Stage | None, memory: Callable[[], int]) -> None:
        self._diary = diary
        self.record = record
        self._until = until
        self._memory = memory
        self._seen = 0
        self._told = time.monotonic()
        self.stage_now = "setting"

    @contextmanager
    def stage(self, name: Stage) -> Iterator[None]:
        """A stage from its beginning to its end. Raises NightStopped after the one that was to be the last, unless
        nothing is left to go on with."""
        self.stage_now, self._seen = name, 0
        start = time.monotonic()
        yield
        before = self.record.stages.get(name, Done(0.0, 0.0))
        seconds = max(before.seconds, round(time.monotonic() - start, 3))
        self.record.stages[name] = Done(time.time(), seconds, max(before.memory, self._seen, self._memory()))
        self.write()
        if name == self._until != STAGES[-1]:
            raise NightStopped(f"the night {self.record.name} stopped after '{name}'; started again, it goes on")

    def saw(self, memory: int) -> None:
        """Another process that works for this stage took so many bytes."""
        self._seen = max(self._seen, memory)

    def alive(self) -> None:
        """Let other machines see that somebody is at it."""
        with suppress(OSError):
            (self._diary.nights / self.record.name / RECORD).touch()

    def spent(self, tokens: int) -> None:
        """Asking the teacher took so many tokens so far: written down every few seconds, so that a night which is
        killed does not take its budget again."""
        self.record.teacher_tokens = tokens
        if time.monotonic() - self._told > _TELL:
            self.write()
            self._told = time.monotonic()

    def over(self, name: Stage) -> bool:
        return name in self.record.stages

    def write(self) -> None:
        self._diary.write(self.record)

    def cut_short(self, reason: str) -> None:
        """It cannot go on now; started again, it will. One that has ended has."""
        if self.record.ended is None:
            self.record.reason = reason
        with suppress(OSError):  # the disk may be what is full
            self.write()

    def end(self, outcome: Outcome, reason: str) -> None:
        self._diary.end(self.record, outcome, reason, time.time())
