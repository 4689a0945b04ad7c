"""Gathering: from the traces up to a mark to datasets. Owns the order in which they are labelled, judged and filtered,
and what is new. Knows nothing of what is done with the datasets.
"""

from __future__ import annotations

import math
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path

import msgspec

from distill.collecting import Collector
from distill.dataset import (
    COLLECTED,
    Dataset,
    Example,
    Inputs,
    Mixture,
    Source,
    build,
    forget_in,
    intact,
    newest,
    replayed,
    stream_examples,
    traces_of,
)
from distill.dataset.example import line_of
from distill.day import Day
from distill.errors import DatasetError, DistillError, NothingKept
from distill.examination.items import Item, passages
from distill.facts import Cache
from distill.filters import VERSION
from distill.generate.answers import Answers
from distill.judging import judge
from distill.labelling import label
from distill.night.doubting import doubted, trusted
from distill.night.settings import NightOver, NightSettings, Progress, part_of
from distill.night.suspecting import LEAST, Came, jump, look, unlike
from distill.store.store import TraceStore

_BUSY_SECONDS = 60.0  # that the gateway is waited for: it may be forgetting much
_REPLAYED = 7  # datasets, the newest: each of them replayed some of those before it
_DOUBTED = "doubted"  # the reason for which conversations are dropped
_LABELLING = 0.25  # of the time that a night has left, at most: the rest of the answers come in other nights
_OLD_SHARE = 0.5  # of what an adapter that is trained further learns from, so that it forgets little


class Known(msgspec.Struct, frozen=True):
    """What nights before know of traces, by id: those that what serves has `learnt`, None where nothing serves; those
    that are `doubted`; those that were, and are `trusted` now. What was there when the last night began, at `since` in
    Unix seconds, it looked at."""

    learnt: Set[str] | None = None
    doubted: Set[str] = frozenset()
    trusted: Set[str] = frozenset()
    since: float = 0.0

    @classmethod
    def by(cls, nights: Path, learnt: Set[str] | None, night: str = "", since: float = 0.0) -> Known:
        """As the `night` has to know it: what it doubts itself it did before it was killed. Raises DoubtError."""
        return cls(learnt, doubted(nights, night), trusted(nights), since)


class Gathered(msgspec.Struct, frozen=True):
    """What there is to learn: `whole`, and of it what is `fresh`, beside as much that is old; None where too little is
    fresh to be worth it. `conversations` passed the filters, `new` of them for the first time; `dropped` by reason.
    `traces` are those of all that passed."""

    whole: Dataset
    fresh: Dataset | None
    conversations: int
    new: int
    dropped: dict[str, int]
    traces: frozenset[str] = frozenset()


class Unlike(DistillError):
    """What came is unlike all before: these `traces`. Of all there is so many `conversations` passed the filters, and
    others were `dropped` by reason."""

    def __init__(self, told: str, traces: Iterable[str], conversations: int, dropped: Mapping[str, int]) -> None:
        super().__init__(told)
        self.traces, self.conversations, self.dropped = traces, conversations, dict(dropped)


class _Kept(msgspec.Struct):
    """What the filters left: how many examples, and what they dropped by reason. `vouched` are the conversations that
    somebody trusts, `old` the others that the last night looked at, `came` the rest, and `came_traces` its traces."""

    count: int = 0
    dropped: Counter[str] = msgspec.field(default_factory=Counter)
    old: Came = msgspec.field(default_factory=Came)
    came: Came = msgspec.field(default_factory=Came)
    vouched: Came = msgspec.field(default_factory=Came)
    came_traces: set[str] = msgspec.field(default_factory=set)


async def label_traces(settings: NightSettings, until: int, day: Day, progress: Progress) -> None:
    """More of the teacher's answers, for conversations that nobody else confirmed. Without a teacher the night goes on:
    these conversations are then not learnt from. And a judge's opinion of what passed every other check, where one is
    named; what it says nothing clear of stays."""
    progress.stage("asking the teacher again", None)
    async with _collecting(settings) as (store, collector):
        limits = settings.labels
        if settings.deadline is not None:
            limits = msgspec.structs.replace(limits, until=part_of(settings.deadline, _LABELLING))
        labelled = await label(store, collector, until, day.again, limits, progress.step)
        error = f" ({labelled.error})" if labelled.failed else ""
        left = f"{labelled.left} left{' at least' if labelled.more else ''}"
        note = f"{labelled.agreed} agreed on, {labelled.disagreed} not, {left}{error}"
        progress.step(labelled.agreed + labelled.disagreed, note)
        if settings.judge:
            await _judge(store, collector, until, day, progress)


async def gather(
    settings: NightSettings,
    items: Sequence[Item],
    until: int,
    known: Known,
    least: int,
    progress: Progress,
    into: Path | None = None,
    before: float = math.inf,
) -> Gathered:
    """Datasets of the traces up to the number `until`, in the data folder or `into` another; replayed are those of
    datasets that were made `before`, in Unix seconds. Conversations with traces that what serves has not learnt are
    fresh, and worth a dataset of their own from `least` on, where something serves.

    Raises NightOver where there are fewer conversations than a night wants, Unlike, DatasetError.
    """
    datasets = settings.data / "datasets"
    with tempfile.TemporaryDirectory(dir=datasets, prefix=COLLECTED) as work:
        kept = Path(work, "kept.jsonl")
        async with _collecting(settings) as (store, collector):
            progress.stage("filtering traces", None)
            passed = await _keep(collector, until, known, kept)
            count, dropped = passed.count, passed.dropped
            folders = _whole_ones(newest(datasets, _REPLAYED, before), progress)
            earlier, only_there = await _earlier(store, folders, known.doubted)
        learnt = known.learnt or frozenset()
        traces = frozenset(name for one in stream_examples(kept) for name in one.traces)
        if told := unlike(passed.old, passed.came, passed.vouched):
            raise Unlike(told, passed.came_traces, count, dropped)
        if learnt and (told := _unlike(kept, learnt, known.trusted)):
            raise Unlike(told, (traces - learnt) | passed.came_traces, count, dropped)
        if count < settings.minimum:
            told = ", ".join(f"{reason} {number}" for reason, number in dropped.most_common()) or "none"
            raise NightOver(
                "nothing",
                f"{count} conversations passed the filters, and a night wants {settings.minimum}; dropped: {told}",
            )
        progress.stage("building the dataset", None)
        inputs = _inputs(settings, items, kept, earlier, dropped)
        whole = _built(inputs, into or datasets, settings.mixture)
        new = sum(_is_new(one, learnt) for one in stream_examples(kept))
        fresh = None
        if known.learnt is not None and new >= least:
            parted = replace(inputs, examples=partial(_parted, kept, learnt, True), replay=_both(kept, learnt, earlier))
            fresh = _built(parted, into or datasets, msgspec.structs.replace(settings.mixture, replay=_OLD_SHARE))
    for made in (whole, fresh):
        if made is not None:
            await _forget_meanwhile(settings.data, made, only_there)
    return Gathered(whole, fresh, count, new, dict(dropped), traces)


@asynccontextmanager
async def _collecting(settings: NightSettings) -> AsyncIterator[tuple[TraceStore, Collector]]:
    reserved = {*settings.examination.repositories, *settings.reserved}
    answers = Answers.from_folder(settings.templates, settings.vocabularies, Cache.of_data(settings.data).facts)
    async with await TraceStore.open(settings.data / "traces.db", _BUSY_SECONDS) as store:
        yield (
            store,
            Collector(
                store,
                settings.data,
                settings.rules,
                frozenset(reserved),
                settings.snapshots,
                settings.judge,
                answers,
            ),
        )


async def _judge(store: TraceStore, collector: Collector, until: int, day: Day, progress: Progress) -> None:
    progress.stage(f"asking {collector.judge} to judge", None)
    judged = await judge(store, collector, until, day.answer, progress.step)
    error = f" ({judged.error})" if judged.error else ""
    progress.step(judged.good + judged.bad, f"{judged.good} good, {judged.bad} bad, {judged.unclear} unclear{error}")


def _inputs(
    settings: NightSettings, items: Sequence[Item], kept: Path, earlier: Source, dropped: Counter[str]
) -> Inputs:
    return Inputs(
        partial(stream_examples, kept),
        replay=earlier,
        passages=[*passages(items), *settings.passages],
        reserved=frozenset({*settings.examination.repositories, *settings.reserved}),
        filters=VERSION,
        dropped=dropped,
    )


def _built(inputs: Inputs, datasets: Path, mixture: Mixture) -> Dataset:
    try:
        made = build(inputs, datasets, mixture)
    except NothingKept as error:
        raise NightOver("nothing", str(error)) from error
    if not intact(Path(made.folder)):
        raise DatasetError(
            f"{made.folder} is not what its name says: somebody has changed it. Move it away, and the next night makes "
            "it anew"
        )
    return made


def _is_new(example: Example, learnt: Set[str]) -> bool:
    return not set(example.traces) <= learnt


def _parted(kept: Path, learnt: Set[str], new: bool) -> Iterator[Example]:
    """The examples of a file that are new, or those that are not."""
    return (one for one in stream_examples(kept) if _is_new(one, learnt) == new)


def _unlike(kept: Path, learnt: Set[str], trusted: Set[str]) -> str:
    """What of the new examples is unlike all before, those that were trusted included; nothing, where they are like
    these: whoever changed what his agents do, says so once."""
    settled = learnt | trusted
    new = look(_parted(kept, settled, True))
    told = jump(look(_parted(kept, settled, False)), new)
    if not told or not trusted:
        return told
    vouched = look(one for one in stream_examples(kept) if trusted >= set(one.traces))
    return "" if vouched.conversations >= LEAST and not jump(vouched, new) else told


def _both(kept: Path, learnt: Set[str], earlier: Source) -> Source:
    def examples() -> Iterable[Example]:
        return chain(_parted(kept, learnt, False), earlier())

    return examples


def _whole_ones(folders: list[Path], progress: Progress) -> list[Path]:
    """Those that are what their names say; the others are told of and left out: what somebody wrote into them came
    through no filter."""
    whole = [folder for folder in folders if is_whole(folder)]
    if changed := ", ".join(folder.name for folder in folders if folder not in whole):
        progress.step(note=f"not replayed, since somebody has changed them: {changed}")
    return whole


def is_whole(folder: Path) -> bool:
    try:
        return intact(folder)
    except DatasetError:
        return False


async def _earlier(store: TraceStore, folders: list[Path], doubted: Set[str]) -> tuple[Source, Set[str]]:
    """Datasets' examples of traces that had to make room, and these traces. What was forgotten is gone from datasets,
    too; what is doubted stays out."""
    traces = traces_of(folders)
    known = await store.known(traces)
    return replayed(folders, known | doubted), set(traces) - known


async def _forget_meanwhile(data: Path, dataset: Dataset, only_there: Set[str]) -> None:
    """Take out what was forgotten while the dataset was made: nobody else knew of this one yet."""
    traces = [name for name in traces_of([Path(dataset.folder)]) if name not in only_there]
    async with await TraceStore.open(data / "traces.db") as store:
        forget_in(data / "datasets", {*traces} - await store.known(traces))


async def _keep(collector: Collector, until: int, known: Known, file: Path) -> _Kept:
    """Write what may be learnt into a file, an example a line."""
    found = _Kept()
    with file.open("wb") as lines:
        async for sifted in collector.sifted(until):
            sure = [one for one in sifted.examples if known.doubted.isdisjoint(one.traces)]
            lines.writelines(map(line_of, sure))
            found.count += len(sure)
            found.dropped.update(sifted.dropped)
            found.dropped.update([_DOUBTED] * (len(sifted.examples) - len(sure)))
            if not known.doubted.isdisjoint(sifted.traces):
                continue
            if known.trusted >= set(sifted.traces):
                of = found.vouched
            elif sifted.created > known.since:
                of = found.came
                found.came_traces.update(sifted.traces)
            else:
                of = found.old
            of.add(len(sure), sifted.dropped, sifted.calls)
    return found
