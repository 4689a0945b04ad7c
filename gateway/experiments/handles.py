"""The operator's handles: back to an adapter that served before, and a pin on one that is to stay.

Owns which adapter may be chosen, and what becomes of a canary or an experiment meanwhile. That it serves then is
promotion's; knows nothing of HTTP.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from distill.cards import card
from gateway.answering.pinning import BASE, Pin
from gateway.answering.promotion import Live, Promotion, holds_adapter
from gateway.errors import Conflict, NotFound
from gateway.experiments.canaries import Canaries
from gateway.experiments.running import Experiments
from gateway.machine.naming import is_name


class Done(msgspec.Struct, frozen=True):
    """What a roll-back did: `canary` is the one that it ended; `gone` should serve now and has no folder any more, so
    that the base does."""

    canary: str = ""
    gone: str = ""


class Handles:
    """`adapters` is the folder in which those lie that may be chosen by name."""

    def __init__(self, promotion: Promotion, canaries: Canaries, experiments: Experiments, adapters: Path) -> None:
        self._promotion = promotion
        self._canaries = canaries
        self._experiments = experiments
        self._adapters = adapters

    async def roll_back(self) -> Done:
        """End the canary, if there is one; else go back to what served before. Raises Conflict, or BackendError."""
        self._promotion.check_free()
        if canary := self._canaries.roll_back():
            return Done(canary=canary)
        left = self._promotion.live
        gone = await self._promotion.roll_back()
        self._leave(left)
        return Done(gone=gone)

    async def return_to(self, adapter: str, *, force: bool) -> Done:
        """Let an earlier adapter serve, or the base; a canary ends. Raises Conflict, NotFound or BackendError."""
        self._promotion.check_free()
        running = self._canaries.adapter
        if adapter == running:
            raise Conflict(f"{adapter} is a canary, and no earlier one: pin it if it is to serve everybody now.")
        name = await self._ready(adapter, force=force)
        self._promotion.check_free()  # while it was loaded somebody may have pinned another
        self._canaries.give_way(name)
        left = self._promotion.live
        await self._promotion.return_to(name)
        self._leave(left)
        return Done(canary=running)

    async def pin(self, adapter: str) -> Pin:
        """Let an adapter serve, or the base, and nothing replace it. A canary ends; where it is the one that is pinned,
        as promoted. Raises Conflict, NotFound or BackendError."""
        self._experiments.check_none_exchanges()
        name = await self._ready(adapter, force=False)
        self._experiments.check_none_exchanges()  # one may have begun
        self._canaries.give_way(name)
        return await self._promotion.pin(name)

    def _leave(self, left: Live | None) -> None:
        """What serves no more is not proposed again at once."""
        live = self._promotion.live
        if left is not None and (live is None or live.adapter != left.adapter):
            self._canaries.quarantine(left.adapter, Path(left.path))

    async def _ready(self, adapter: str, *, force: bool) -> str:
        """See that the engine has an adapter that may serve; its name, "" for the base."""
        live = self._promotion.live
        if adapter == BASE:
            return ""
        if live is not None and live.adapter == adapter and adapter in self._promotion.adapters:
            return adapter
        folder = self._adapters / adapter
        if not is_name(adapter) or not holds_adapter(folder):
            raise NotFound(f"There is no adapter '{adapter[:200]}' in {self._adapters}.")
        if not (force or card(folder).passed):
            raise Conflict(
                f"{adapter} is not known to have passed an examination; `nightschool rollback {adapter} --force` lets "
                "it serve all the same."
            )
        await self._promotion.add(adapter, str(folder))
        return adapter
