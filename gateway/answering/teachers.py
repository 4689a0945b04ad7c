"""The teachers: in what order they are asked, which may see a request, and what they cost.

Owns the choice among them. Knows nothing of what is asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gateway.access.keys import Rights
from gateway.access.spend import Spend
from gateway.answering.arms import Arm
from gateway.answering.turn import Turn
from gateway.errors import MayNotLeave


class Teachers:
    """At least one. In the order of the settings, or, `balanced`, whoever has the least to do first. A teacher that is
    being left alone comes last either way. `spends` are their accounts, by label."""

    def __init__(self, arms: Sequence[Arm], spends: Mapping[str, Spend], *, balanced: bool = False) -> None:
        self.arms = list(arms)
        self.spends = dict(spends)
        self._balanced = balanced

    @property
    def first(self) -> Arm:
        return self.arms[0]

    @property
    def models(self) -> str:
        """The models of all of them in one name: what a certificate is about."""
        return ",".join(sorted(arm.model or arm.label for arm in self.arms))

    @property
    def remote(self) -> bool:
        """Whether all of them are on other machines."""
        return all(arm.remote for arm in self.arms)

    @property
    def spent(self) -> bool:
        """Whether all of them have cost what they may today."""
        return all(self._has_spent(arm) for arm in self.arms)

    def willing(self, model: str, rights: Rights, why: str) -> list[Arm]:
        """Whom to ask, one after the other: those with `model`, where it is named, for a client with these rights.

        Raises MayNotLeave, which says `why` it had to be a teacher, or SpendLimit where nobody is left.
        """
        found = self._in_order(model)
        if not rights.may_leave_machine:
            found = [arm for arm in found if not arm.remote]
            if not found:
                raise MayNotLeave(
                    "This request may not leave the machine, and the teacher, elsewhere, is the only one who "
                    f"could answer ({why})."
                )
        affordable = [arm for arm in found if not self._has_spent(arm)]
        if not affordable:
            raise self.spends[found[0].label].refusal()
        return affordable

    def count(self, turn: Turn) -> None:
        """Add what a turn cost to the account of whoever answered it."""
        if turn.asked in self.spends:
            self.spends[turn.asked].count(turn)

    def charge(self, label: str, prompt: float) -> None:
        """Add so many prompt tokens to the account of a teacher."""
        if label in self.spends:
            self.spends[label].add(prompt, 0)

    def _in_order(self, model: str) -> list[Arm]:
        named = [arm for arm in self.arms if model in (arm.base, arm.embeddings)] if model else []
        found = named or list(self.arms)
        if self._balanced:
            found.sort(key=lambda arm: arm.backend.in_flight + arm.backend.patience.waiting)
        return sorted(found, key=lambda arm: arm.backend.patience.breaker.waits > 0)

    def _has_spent(self, arm: Arm) -> bool:
        return arm.label in self.spends and self.spends[arm.label].reached
