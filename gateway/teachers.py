"""The teachers, and in what order they are asked.

Owns the order alone. Knows nothing of requests.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.arms import Arm


class Teachers:
    """At least one. In the order of the settings, or, `balanced`, whoever has the least to do first. A teacher that is
    being left alone comes last either way."""

    def __init__(self, arms: Sequence[Arm], *, balanced: bool = False) -> None:
        self.arms = list(arms)
        self._balanced = balanced

    @property
    def first(self) -> Arm:
        return self.arms[0]

    def in_order(self, model: str = "") -> list[Arm]:
        """Whom to ask, one after the other; those that serve `model`, where one is named."""
        named = [arm for arm in self.arms if arm.base == model] if model else []
        found = named or list(self.arms)
        if self._balanced:
            found.sort(key=lambda arm: arm.backend.in_flight + arm.backend.patience.waiting)
        return sorted(found, key=lambda arm: arm.backend.patience.breaker.waits > 0)
