"""The night: traces to a dataset, a dataset to an adapter, an adapter to a verdict and a proposal.

Reads top to bottom: label, filter, dataset, lease, train, examine, judge, propose. Each stage leaves a folder named by
what went into it, so a night that was killed goes on where it stopped when it is started again. Talks to models through
the gateway only, and writes proposals only: the gateway alone decides what serves.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence, Set
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import msgspec

from distill import trainer
from distill.agent import Conversation
from distill.collecting import Collector
from distill.dataset import (
    COLLECTED,
    Dataset,
    Inputs,
    Mixture,
    Source,
    alone,
    build,
    forget_in,
    newest,
    replayed,
    stream_examples,
    traces_of,
)
from distill.dataset.contamination import Passage
from distill.dataset.example import line_of
from distill.day import Day, DayConflict, DayError
from distill.errors import DatasetError, DistillError
from distill.examination.items import Item, passages
from distill.examination.marking import Mark
from distill.examination.scores import Score, score
from distill.examination.setting import Examination, set_questions
from distill.examination.sitting import Pace, examine, pace
from distill.facts import Cache
from distill.filters import VERSION, Rules
from distill.gate import Verdict, judge
from distill.generate.answers import Answers
from distill.judging import judge as judge_runs
from distill.labelling import Limits, label
from distill.publishing import publish, write_card
from distill.snapshots import Snapshots
from distill.store.store import TraceStore
from distill.train.order import Order, name_of, ordered, write_order
from distill.train.recipe import Recipe, recipe_of
from distill.train.record import Step

_LEASE_SECONDS = 60.0
_BUSY_SECONDS = 60.0  # that the gateway is waited for: it may be forgetting much
_REPLAYED = 7  # datasets, the newest: each of them replayed some of those before it


class NightError(DistillError):
    """The night could not be finished."""


class NightSettings(msgspec.Struct, frozen=True):
    """What a night is told. `recipe` overrides the default recipe's fields; `lease_bytes` is what training may take."""

    data: Path
    models: Path
    base: Path
    templates: Path
    vocabularies: Path
    examination: Examination
    recipe: dict[str, Any]
    lease_bytes: int
    minimum: int = 50  # fewer conversations than this are not worth a night
    at_once: int = 8
    timed: int = 60  # questions that base and adapter are asked alone, for their seconds; 59 bound a 95th percentile
    reserved: tuple[str, ...] = ()  # more repositories that are never trained on
    passages: tuple[Passage, ...] = ()  # of other examinations, which no example may repeat either
    rules: Rules = Rules()
    labels: Limits = Limits()
    judge: str = ""  # the model that is asked whether what passed is good; empty: none is
    mixture: Mixture = Mixture()
    snapshots: Snapshots | None = None  # what results are read again on


class Night(msgspec.Struct, frozen=True):
    """What a night did. `adapter` is its name; `live` the pointer the gateway wrote, None when it was not promoted,
    and `instead` what becomes of one that passed all the same."""

    dataset: Dataset
    run: dict[str, Any]
    adapter: str
    verdict: Verdict
    teacher: Score
    live: dict[str, Any] | None
    instead: str
    memory: dict[str, int]


class Progress(Protocol):
    """Where the night tells how far it is: a stage by name, its end and its total."""

    def stage(self, name: str, total: int | None) -> None: ...
    def step(self, done: int | None = None, note: str = "") -> None: ...


async def _nothing(adapter: str) -> None:
    return


async def night(
    settings: NightSettings, day: Day, progress: Progress, passed: Callable[[str], Awaitable[None]] = _nothing
) -> Night:
    """One night. `passed` is awaited with the name of an adapter that passed, before it is proposed.

    Raises DatasetError when there is nothing to learn or another night is at work, NightError, TrainerError or DayError
    when a stage cannot go on.
    """
    with alone(settings.data / "datasets"):
        return await _night(settings, day, progress, passed)


async def _night(
    settings: NightSettings, day: Day, progress: Progress, passed: Callable[[str], Awaitable[None]]
) -> Night:
    recipe = recipe_of(settings.recipe)
    if recipe.kind == "dora":
        raise NightError("a night's adapter is served beside others, which DoRA cannot be: night.recipe kind = 'lora'")
    items = await _set(settings, progress)
    dataset = await learnable(settings, items, day, progress)
    async with _lease(day, settings.lease_bytes):
        run_folder = await _train(settings, recipe, dataset, progress)
    adapter, folder = publish(settings.models, run_folder)
    marks, memory = await _examine(settings, items, day, adapter, folder, progress)
    room = (memory["base"] or None, memory["adapter"] or None)
    verdict = judge(marks["base"], marks["adapter"], memory=room)
    write_card(folder, run_folder, verdict)
    if verdict.passed:
        await passed(adapter)
    live, instead = await _propose(day, adapter, folder, verdict)
    run = json.loads((run_folder / "result.json").read_text())
    return Night(dataset, run, adapter, verdict, score(marks["teacher"]), live, instead, memory)


async def _set(settings: NightSettings, progress: Progress) -> list[Item]:
    """The examination, set before anything is learnt: what it asks is then kept out of the dataset."""
    progress.stage("setting the examination", None)
    return await set_questions(settings.examination, settings.templates, settings.data / "repositories")


async def learnable(settings: NightSettings, items: Sequence[Item], day: Day, progress: Progress) -> Dataset:
    """Traces up to a watermark that is fixed now, labelled, and filtered into a dataset."""
    reserved = frozenset({*settings.examination.repositories, *settings.reserved})
    datasets = settings.data / "datasets"
    with tempfile.TemporaryDirectory(dir=datasets, prefix=COLLECTED) as work:
        kept = Path(work, "kept.jsonl")
        async with await TraceStore.open(settings.data / "traces.db", _BUSY_SECONDS) as store:
            until = await store.watermark()
            collector = Collector(
                store,
                settings.data,
                settings.rules,
                reserved,
                settings.snapshots,
                settings.judge,
                Answers.from_folder(settings.templates, settings.vocabularies, Cache.of_data(settings.data).facts),
            )
            await _label(store, collector, until, day, settings.labels, progress)
            if settings.judge:
                await _judge(store, collector, until, day, progress)
            progress.stage("filtering traces", None)
            count, dropped = await _keep(collector, until, kept)
            earlier, only_there = await _earlier(store, datasets)
        if count < settings.minimum:
            raise DatasetError(
                f"{count} conversations passed the filters, and a night wants {settings.minimum}; "
                f"dropped: {_told(dropped)}"
            )
        progress.stage("building the dataset", None)
        inputs = Inputs(
            partial(stream_examples, kept),
            replay=earlier,
            passages=[*passages(items), *settings.passages],
            reserved=reserved,
            filters=VERSION,
            dropped=dropped,
        )
        dataset = build(inputs, datasets, settings.mixture)
    await _forget_meanwhile(settings.data, dataset, only_there)
    return dataset


async def _label(
    store: TraceStore, collector: Collector, until: int, day: Day, limits: Limits, progress: Progress
) -> None:
    """More of the teacher's answers, for conversations that nobody else confirmed. Without a teacher the night goes on:
    these conversations are then not learnt from."""
    progress.stage("asking the teacher again", None)
    labelled = await label(store, collector, until, day.again, limits, progress.step)
    error = f" ({labelled.error})" if labelled.failed else ""
    left = f"{labelled.left} left{' at least' if labelled.more else ''}"
    note = f"{labelled.agreed} agreed on, {labelled.disagreed} not, {left}{error}"
    progress.step(labelled.agreed + labelled.disagreed, note)


async def _judge(store: TraceStore, collector: Collector, until: int, day: Day, progress: Progress) -> None:
    """A judge's opinion of what passed every other check. What it says nothing clear of stays."""
    progress.stage(f"asking {collector.judge} to judge", None)
    judged = await judge_runs(store, collector, until, day.answer, progress.step)
    error = f" ({judged.error})" if judged.error else ""
    progress.step(judged.good + judged.bad, f"{judged.good} good, {judged.bad} bad, {judged.unclear} unclear{error}")


async def _earlier(store: TraceStore, datasets: Path) -> tuple[Source, Set[str]]:
    """The newest datasets' examples of traces that had to make room, and these traces. What was forgotten is gone from
    datasets, too."""
    folders = newest(datasets, _REPLAYED)
    traces = traces_of(folders)
    known = await store.known(traces)
    return replayed(folders, known), set(traces) - known


async def _forget_meanwhile(data: Path, dataset: Dataset, only_there: Set[str]) -> None:
    """Take out what was forgotten while the dataset was made: nobody else knew of this one yet."""
    traces = [name for name in traces_of([Path(dataset.folder)]) if name not in only_there]
    async with await TraceStore.open(data / "traces.db") as store:
        forget_in(data / "datasets", {*traces} - await store.known(traces))


async def _keep(collector: Collector, until: int, file: Path) -> tuple[int, Counter[str]]:
    """Write what may be learnt into a file, an example a line; how many, and what was dropped by reason."""
    count, dropped = 0, Counter[str]()
    with file.open("wb") as lines:
        async for sifted in collector.sifted(until):
            lines.writelines(line_of(example) for example in sifted.examples)
            count += len(sifted.examples)
            dropped.update(sifted.dropped)
    return count, dropped


@asynccontextmanager
async def _lease(day: Day, size: int) -> AsyncIterator[None]:
    """Memory borrowed from the gateway and kept by renewing; a night that dies loses it by itself."""
    lease = await day.lease(size, _LEASE_SECONDS)

    async def keep() -> None:
        while True:
            await asyncio.sleep(_LEASE_SECONDS / 3)
            await day.renew(lease)

    keeper = asyncio.create_task(keep())
    try:
        yield
    finally:
        keeper.cancel()
        with suppress(asyncio.CancelledError, DayError):
            await keeper
        with suppress(DayError):  # it ends by itself
            await day.give_back(lease)


async def _train(settings: NightSettings, recipe: Recipe, dataset: Dataset, progress: Progress) -> Path:
    """The run's folder, trained in a process of its own unless it is there already."""
    order = await asyncio.to_thread(
        ordered, Order(str(settings.base), dataset.folder, recipe, memory=settings.lease_bytes)
    )
    folder = settings.models / "runs" / name_of(order)
    progress.stage("training", None)
    if not (folder / "result.json").exists():
        write_order(order, folder)
        await trainer.train(folder, partial(_tell, progress))
    return folder


def _tell(progress: Progress, step: Step) -> None:
    progress.stage("training", step.steps)
    progress.step(step.step, f"loss {step.loss:.3f}")


async def _examine(
    settings: NightSettings, items: Sequence[Item], day: Day, adapter: str, folder: Path, progress: Progress
) -> tuple[dict[str, list[Mark]], dict[str, int]]:
    """Base, adapter and teacher on the same questions. Returns their marks and peak memory in bytes."""
    await day.add_adapter(adapter, folder)
    client = day.client()
    marks: dict[str, list[Mark]] = {}
    memory: dict[str, int] = {}
    for arm, model in (("base", settings.base.name), ("adapter", adapter), ("teacher", "teacher")):
        speed = pace(items, settings.at_once, 0 if arm == "teacher" else settings.timed)
        results = await _sit(client, model, items, speed, settings.examination, f"examining the {arm}", progress)
        marks[arm] = [mark for mark, _ in results]
        _write_answers(folder, arm, items, results)
        memory[arm] = await peak_memory(day, "teacher" if arm == "teacher" else "student")
    await client.close()
    return marks, memory


async def _sit(
    client: Any,
    model: str,
    items: Sequence[Item],
    speed: Pace,
    examination: Examination,
    stage: str,
    progress: Progress,
) -> list[tuple[Mark, Conversation]]:
    progress.stage(stage, len(items))
    results = await examine(client, model, items, pace=speed, max_tokens=examination.max_tokens, done=progress.step)
    failed = [conversation.error for _, conversation in results if conversation.end == "error"]
    if len(failed) > len(items) // 10:
        raise NightError(f"{model} failed {len(failed)} of {len(items)} questions: {failed[0]}")
    return results


async def peak_memory(day: Day, arm: str) -> int:
    """Bytes the arm's process has taken at most, as the gateway knows it; 0 where it does not (a remote endpoint)."""
    return int((await day.status()).get("memory", {}).get(arm) or 0)


def _write_answers(folder: Path, arm: str, items: Sequence[Item], results: Sequence[tuple[Mark, Conversation]]) -> None:
    """Every answer with its mark, for people who want to see what the numbers stand for."""
    lines = [
        msgspec.json.encode({"question": item.question, "mark": mark, "messages": conversation.messages[1:]}) + b"\n"
        for item, (mark, conversation) in zip(items, results, strict=True)
    ]
    (folder / f"examination-{arm}.jsonl").write_bytes(b"".join(lines))


async def _propose(day: Day, adapter: str, folder: Path, verdict: Verdict) -> tuple[dict[str, Any] | None, str]:
    """An adapter that passed is proposed; one that did not is kept with its reasons and taken off the engine. The live
    pointer, if it is this adapter's; else what becomes of it, if it passed."""
    if not verdict.passed:
        await _take_off(day, adapter)
        return None, ""
    try:
        answer = await day.propose(adapter, folder, {"passed": True, "p_value": verdict.p_value})
    except DayConflict as error:
        await _take_off(day, adapter)
        return None, f"not proposed: {error}"
    if answer["canary"] is not None:
        return None, "a canary now: it serves a growing share of the conversations until it has earned them all"
    return dict(answer["live"]), ""


async def _take_off(day: Day, adapter: str) -> None:
    """Take an adapter off the engine, unless it serves: a night with nothing new makes the same one again."""
    with suppress(DayConflict):
        await day.remove_adapter(adapter)


def _told(dropped: Counter[str]) -> str:
    return ", ".join(f"{reason} {count}" for reason, count in dropped.most_common()) or "none"
