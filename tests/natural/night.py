"""The night after a natural day: the teacher is asked again, and the filters say what may be learnt.

Owns what the filters are told of this day besides: the repositories' copies as snapshots. Knows nothing of how the day
went or what is written about it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from distill.collecting import Collector
from distill.day import Day
from distill.filters import Explained, Rules, Told, explain
from distill.labelling import Labelled, Limits, label
from distill.store.store import TraceStore
from distill.trace import Trace
from distill.trajectory import Trajectory, trajectories
from distill.workspace import Workspace
from tests.natural.repositories import Repository


@dataclasses.dataclass(frozen=True)
class Judged:
    """One trajectory, and what became of it."""

    trajectory: Trajectory
    explained: Explained

    @property
    def agent(self) -> str:
        return self.trajectory.last.client

    @property
    def kept(self) -> bool:
        return not self.explained.reason

    def findings(self, effect: str) -> list[str]:
        """The reasons of the findings that have an effect."""
        return [finding.reason for finding in self.explained.findings if finding.effect == effect]


class _Collector(Collector):
    """With the files as they were, which the clean copies still have."""

    def __init__(self, store: TraceStore, data: Path, snapshots: Mapping[tuple[str, str], Path]) -> None:
        super().__init__(store, data, Rules())
        self._snapshots = snapshots

    async def told(self, traces: list[Trace]) -> Told:
        return dataclasses.replace(await super().told(traces), snapshot=self._snapshot)

    def _snapshot(self, workspace: Workspace) -> Path | None:
        return self._snapshots.get((workspace.repository, workspace.commit))


async def asked_again(home: Path, repositories: list[Repository], url: str, samples: int) -> Labelled:
    """More answers for what would be kept if they agreed; they stay in the store of the gateway at `url`."""
    async with await TraceStore.open(home / "data" / "traces.db") as store, Day.of_home(url, home / "data") as day:
        collector = _Collector(store, home / "data", _by_commit(repositories))
        return await label(store, collector, await store.watermark(), day.again, Limits(samples, at_once=2))


async def judged(home: Path, repositories: list[Repository]) -> list[Judged]:
    """Every trajectory of the day through the filters, in the order in which conversations began."""
    found: list[Judged] = []
    async with await TraceStore.open_to_read(home / "data" / "traces.db") as store:
        collector = _Collector(store, home / "data", _by_commit(repositories))
        async for traces in store.conversations():
            ways = explain(traces, await collector.told(traces)).trajectories
            found += (Judged(*one) for one in zip(trajectories(traces), ways, strict=True))
    return found


def _by_commit(repositories: list[Repository]) -> dict[tuple[str, str], Path]:
    return {(repository.name, repository.commit): repository.root for repository in repositories}
