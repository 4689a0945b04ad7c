"""The night after a natural day: the teacher is asked again, and the filters say what may be learnt.

Owns where in a day's folder store and repositories are found. Knows nothing of how the day went or what is written
about it.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

from distill.collecting import Collector
from distill.day import Day
from distill.filters import Explained, Rules, explain
from distill.labelling import Labelled, Limits, label
from distill.snapshots import Snapshots
from distill.store.store import TraceStore
from distill.trajectory import Trajectory, trajectories

REPOSITORIES = "repositories"  # below the day's folder


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


async def asked_again(day: Path, url: str, limits: Limits) -> Labelled:
    """More answers for what would be kept if they agreed; they stay in the store of the gateway at `url`."""
    home = day / "home"
    async with await TraceStore.open(home / "data" / "traces.db") as store, Day.of_home(url, home / "data") as gateway:
        return await label(store, _collector(store, day), await store.watermark(), gateway.again, limits)


async def judged(day: Path) -> list[Judged]:
    """Every trajectory of the day through the filters, in the order in which conversations began."""
    found: list[Judged] = []
    async with await TraceStore.open_to_read(day / "home" / "data" / "traces.db") as store:
        collector = _collector(store, day)
        async for traces in store.conversations():
            ways = explain(traces, await collector.told(traces)).trajectories
            found += (Judged(*one) for one in zip(trajectories(traces), ways, strict=True))
    return found


def _collector(store: TraceStore, day: Path) -> Collector:
    """As the night has it, which finds the files of the commits in the repositories' folders."""
    data = day / "home" / "data"
    snapshots = Snapshots(data / "snapshots", [day / REPOSITORIES], Path.home(), data / "repositories")
    return Collector(store, data, Rules(), snapshots=snapshots)
