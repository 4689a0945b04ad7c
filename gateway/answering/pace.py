"""How long drafts and teachers' answers take, as measured lately, and from which chance on a draft pays.

Owns the averages. Knows nothing of who decides.
"""

from __future__ import annotations

from gateway.answering.turn import Turn
from router.economics import least_chance

_NEWEST = 0.1  # weight of the newest measurement in an average
_FEWEST = 10  # measurements before an average is believed


class Average:
    """An exponentially weighted mean, None until enough was measured."""

    def __init__(self) -> None:
        self._count = 0
        self._mean = 0.0

    def add(self, value: float) -> None:
        self._count += 1
        self._mean += (value - self._mean) * max(_NEWEST, 1 / self._count)

    @property
    def value(self) -> float | None:
        return self._mean if self._count >= _FEWEST else None


class Pace:
    """Told of every turn that ended. What a teacher takes includes its queue and its start, which its callers wait for,
    too; so a teacher that is busy or not loaded makes drafts pay by itself."""

    def __init__(self) -> None:
        self.draft = Average()
        self.teacher = Average()

    def ended(self, turn: Turn) -> None:
        waited = 0.0
        for call in turn.calls:
            if call.error or not call.first:
                continue
            if call.is_draft:
                self.draft.add(call.until - call.since)
            elif turn.decision.arm == "teacher":
                waited += call.until - call.since
        if waited and turn.state == "completed":
            self.teacher.add(waited)

    @property
    def worth(self) -> float:
        """The chance of release from which a draft saves time; 0 while that is not known."""
        draft, teacher = self.draft.value, self.teacher.value
        return 0.0 if draft is None or teacher is None else least_chance(draft, teacher)
