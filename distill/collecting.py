"""From the store to what may be learnt: each conversation through the filters, with what is known of it.

Owns what the filters are told: feedback that was given, and what is a secret. Holds one conversation at a time. Knows
nothing of datasets or training.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Set
from pathlib import Path

from distill.filters import Rules, Sifted, Told, sift
from distill.outcome import Outcome
from distill.redact.key import key_at
from distill.redact.redactor import Redactor
from distill.snapshots import Snapshots
from distill.store.store import TraceStore
from distill.trace import Trace


class Collector:
    """The filters over a data folder's store. Nothing about `reserved` repositories is ever learnt; results are read
    again on `snapshots`."""

    def __init__(
        self,
        store: TraceStore,
        data: Path,
        rules: Rules,
        reserved: Set[str] = frozenset(),
        snapshots: Snapshots | None = None,
    ) -> None:
        self._store = store
        self.redactor = Redactor(key_at(data / "redact.key"))
        self.rules = rules
        self._reserved = reserved
        self._snapshots = snapshots

    async def sifted(self, until: int) -> AsyncIterator[Sifted]:
        """Every conversation with traces up to the number `until`, as the filters leave it."""
        async for traces in self._store.conversations(until):
            for found in sift([traces], await self.told(traces)):
                yield found

    async def told(self, traces: list[Trace]) -> Told:
        """What is known of one conversation besides its traces."""
        known: dict[str, list[Outcome]] = {}
        for outcome in await self._store.outcomes([trace.id for trace in traces]):
            known.setdefault(outcome.trace, []).append(outcome)
        return Told(
            self.rules,
            reserved=self._reserved,
            outcomes=lambda trace: known.get(trace, ()),
            samples=lambda trace: [one.sample for one in known.get(trace, ()) if one.sample is not None],
            finds_secret=lambda text: self.redactor.text(text) is not text,
            snapshot=self._snapshots.of if self._snapshots is not None else None,
        )
