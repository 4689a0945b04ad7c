"""Morning: everything the report knows, as plain structs. Owns the form; knows nothing of where it is read."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from distill.examination.scores import Score
from distill.gate import Verdict
from distill.night.diary import Record
from router.certificate import Missing, Proven
from router.groups import Group


class Examined(msgspec.Struct, frozen=True):
    """A candidate. `conversations` are those of its dataset, None where that is gone; `fresh`: it learnt what was new,
    with as much that was old. `verdict` is None where there is none that can be read, `served` and `teacher` where
    these did not sit the same examination, or nobody kept what they answered."""

    adapter: str
    parent: str
    steps: int
    fresh: bool
    conversations: int | None
    verdict: Verdict | None
    served: Score | None = None
    teacher: Score | None = None


class Diversity(msgspec.Struct, frozen=True):
    """What a dataset's manifest says of its conversations: how many turns of one call something, about, and the share
    in which none does."""

    conversations: int
    calls: float
    without_tools: float


class Night(msgspec.Struct, frozen=True):
    """A night. `traces` came since the one before, None where there was none; `goes_on`: started again, it goes on
    where it stood. `learnt` is of its dataset, `before` of the one before that."""

    record: Record
    traces: int | None
    goes_on: bool
    candidates: list[Examined]
    learnt: Diversity | None = None
    before: Diversity | None = None

    @property
    def chosen(self) -> Examined | None:
        """The candidate that was proposed, or the best of those refused."""
        return next((one for one in self.candidates if one.adapter == self.record.chosen), None)


class CanaryNow(msgspec.Struct, frozen=True):
    """A canary under way: of `seen` compared answers `bad` were worse; `paused` says why it waits, if it does."""

    adapter: str
    share: float
    seen: int
    bad: int
    paused: str


class Serving(msgspec.Struct, frozen=True):
    """What serves; "" is the base. `before` is what it replaced. `base`, `parent` and `learnt_until` are of its card,
    empty where that says nothing. `certified` and `missing` are by group of answers; `teacher` is the one that its
    certificate is about where that is another than the one that answers now; `broken` why the one before was.
    `missing_adapter` should serve, and cannot."""

    adapter: str
    since: str = ""
    before: str = ""
    base: str = ""
    parent: str = ""
    learnt_until: float | None = None
    certified: Mapping[Group, Proven] = {}
    missing: Mapping[Group, Missing] = {}
    teacher: str = ""
    broken: str = ""
    missing_adapter: str = ""


class DayTraffic(msgspec.Struct, frozen=True):
    """A day (UTC) of requests. `medians` are seconds by arm, of those answered to their end. `teacher` were for the
    teacher, `teacher_failed` of them failed, or were answered by the student in its place. `saved_seconds` is an
    estimate."""

    day: str
    requests: int
    student: int
    failed: int
    teacher: int
    teacher_failed: int
    student_share: float | None
    medians: dict[str, float]
    saved_seconds: float
    saved_tokens: int


class Saved(msgspec.Struct, frozen=True):
    """What the student saved in all the days together, in `requests` that it answered: how many times the difference of
    the mean seconds, as an estimate, 0 where one of them is not known."""

    requests: int = 0
    seconds: float = 0.0
    tokens: int = 0
    student_mean: float | None = None
    teacher_mean: float | None = None


class Morning(msgspec.Struct, frozen=True):
    """All of it. `at` is when it was looked at, in Unix seconds; `night` the last one, None where there was none;
    `nights` those of the period, the newest first; `refused` how many of the newest that came to a verdict were refused
    in a row, however long ago; `days` the period's, the oldest first. `up`: a gateway told what it
    does now, and `teacher_down` is what it said. `paused` says that learning is paused, "" where it is not. `doubted`
    is how many traces nights leave out, by the night that doubts them, the newest first. `notes` are what could not be
    read."""

    at: float
    night: Night | None
    nights: list[Night]
    serving: Serving
    canary: CanaryNow | None
    days: list[DayTraffic]
    saved: Saved
    disk_free: int
    refused: int = 0
    up: bool = False
    teacher_down: bool = False
    paused: str = ""
    doubted: dict[str, int] = {}
    notes: list[str] = []

    @property
    def empty(self) -> bool:
        """Whether there is nothing to tell of: no night, no request, nothing that serves."""
        told = self.serving.adapter or self.notes or any(day.requests for day in self.days)
        return self.night is None and not told
