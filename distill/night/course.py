"""The course of a night: label, filter, train, examine, certify, propose.

Reads top to bottom. What each stage makes lies in a folder named by what went into it, and the diary says which stages
are over, so a night that was killed goes on where it stopped when it is started again, and ends with the same adapter.
Talks to models through the gateway only, and writes proposals only: the gateway alone decides what serves.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from distill.dataset import Dataset, alone, described, intact
from distill.day import Day, DayConflict
from distill.errors import DatasetError, DistillError
from distill.examination.items import Item
from distill.examination.scores import Score
from distill.gate import Verdict
from distill.machine import peak_memory
from distill.naming import is_one
from distill.night.borrowing import GaveWay, Lent, borrowed, quiet
from distill.night.candidates import Served, folder_of, from_base_due, in_time, nothing_new, orders, served, train
from distill.night.diary import Diary, NightStopped, Outcome, Record, UnderWay, read_learnt
from distill.night.doubting import doubt, suspect
from distill.night.gathering import Gathered, Known, Unlike, gather, label_traces
from distill.night.judging import Examined, best_of, examined, harmed
from distill.night.pausing import paused
from distill.night.retention import make_room
from distill.night.setting import draw
from distill.night.settings import NightError, NightOver, NightSettings, Progress
from distill.store.store import TraceStore
from distill.train.order import Order, name_of
from distill.train.recipe import Recipe, recipe_of
from distill.train.record import RESULT, Step, read_result

_BUSY_SECONDS = 60.0  # that the gateway is waited for: it may be forgetting much
_LEFT_OUT = -1  # steps of a candidate for which there was no time
_CANARY = "a canary now: it serves a growing share of the conversations until it has earned them all"
_TRUST = "nights leave it out until somebody says `nightschool trust {night}`"
_AFTER = 0.25  # of a night is kept for what comes after training, where no night before says how long that takes


class Night(msgspec.Struct, frozen=True):
    """What a night did. `adapter` is its name; `live` the pointer the gateway wrote, None when it was not promoted,
    and `instead` what becomes of one that passed all the same. `teacher` is None where it did not answer; `memory` is
    in bytes, by arm."""

    dataset: Dataset
    run: dict[str, Any]
    adapter: str
    verdict: Verdict
    teacher: Score | None
    live: dict[str, Any] | None
    instead: str
    memory: dict[str, int]


class Proposed(NamedTuple):
    """What became of the best adapter: the live pointer, if it serves now, and the diary's word with its reason."""

    live: dict[str, Any] | None
    outcome: Outcome
    reason: str


class Judged(NamedTuple):
    """What a night has to propose: what it learnt from, the best of its adapters, and the names of all."""

    gathered: Gathered
    best: Examined
    made: list[str]


async def _nothing(adapter: str) -> None:
    return


async def night(
    settings: NightSettings, day: Day, progress: Progress, certify: Callable[[str], Awaitable[None]] = _nothing
) -> Night:
    """One night. `certify` is awaited with "" for what serves, at the beginning, and with the name of an adapter that
    passed, before it is proposed.

    Raises NightOver where there is nothing to learn or no time left, NightStopped after the stage that was to be the
    last, DatasetError where another night is at work, and DatasetError, NightError, TrainerError or DayError when a
    stage cannot go on. The diary tells all of it.
    """
    recipe = recipe_of(settings.recipe)
    if recipe.kind == "dora":
        raise NightError("a night's adapter is served beside others, which DoRA cannot be: night.recipe kind = 'lora'")
    if pause := paused(settings.data, time.time()):
        raise NightOver("nothing", pause)
    with alone(settings.data / "datasets"):
        under_way = await _begun(settings, day)
        try:
            judged = await _in_time(_judged(settings, recipe, under_way, day, progress, certify), settings, under_way)
            return await _proposed(settings, under_way, day, judged)  # what was begun here is ended, whatever the time
        except NightOver as over:
            under_way.record.serves = under_way.record.served
            under_way.end(over.outcome, str(over))
            raise
        except NightStopped:
            raise
        except (DistillError, OSError) as error:
            under_way.cut_short(str(error))
            raise
        except sqlite3.Error as error:
            under_way.cut_short(f"the trace store: {error}")
            raise NightError(f"the trace store cannot be used now: {error}") from error


async def _in_time(work: Awaitable[Judged], settings: NightSettings, under_way: UnderWay) -> Judged:
    """Raises NightOver where the night's time is over first."""
    try:
        async with asyncio.timeout(_left(settings)) as clock:
            return await work
    except TimeoutError as error:
        if not clock.expired():
            raise NightError(f"something took too long during '{under_way.stage_now}': {error}") from error
        reason = f"its time was over during '{under_way.stage_now}'; what was finished is kept"
        raise NightOver("partial", reason) from error


async def _judged(
    settings: NightSettings,
    recipe: Recipe,
    under_way: UnderWay,
    day: Day,
    progress: Progress,
    certify: Callable[[str], Awaitable[None]],
) -> Judged:
    """Everything up to a verdict and a certificate."""
    record = under_way.record
    day.allow(settings.teacher_tokens, record.teacher_tokens, under_way.spent)
    items, record.questions = await draw(settings, Diary(settings.data / "nights"), progress, record.name)
    old = served(settings.models, record.served)
    with under_way.stage("label"):
        if not under_way.over("label"):
            await label_traces(settings, record.watermark, day, progress)
    with under_way.stage("filter"):
        try:
            gathered = await _gathered(settings, recipe, record, items, old, progress)
        except NightOver:
            await _certify_served(under_way, certify)
            raise
    await _certify_served(under_way, certify)
    with under_way.stage("train"):
        runs = await _train(settings, recipe, under_way, gathered, old, day, progress)
    with under_way.stage("examine"):
        found = await examined(settings, under_way, items, runs, old, day, progress)
        under_way.saw(max(size for one in found for size in one.memory.values()))
    best = best_of(found)
    with under_way.stage("certify"):
        if best.verdict.passed:
            await _certify(under_way, certify, best.adapter)
    return Judged(gathered, best, [one.adapter for one in found])


async def _certify_served(under_way: UnderWay, certify: Callable[[str], Awaitable[None]]) -> None:
    """On a night that learns nothing, too, and once it is known what is doubted of the day."""
    if under_way.record.served:  # a base that was taught nothing answers nothing
        await _certify(under_way, certify, "")


async def _certify(under_way: UnderWay, certify: Callable[[str], Awaitable[None]], adapter: str) -> None:
    """Once a night: a test of the same labels anew would be worth less."""
    if adapter not in under_way.record.certified:
        await certify(adapter)
        under_way.record.certified = [*under_way.record.certified, adapter]
        under_way.write()


async def _proposed(settings: NightSettings, under_way: UnderWay, day: Day, judged: Judged) -> Night:
    best = judged.best
    with under_way.stage("propose"):
        proposed = await _propose(day, best, judged.made, under_way.record.served)
    if not best.verdict.passed:
        _suspect_what_harmed(settings, under_way.record)
    under_way.record.chosen = best.adapter
    under_way.record.serves = str(((await day.status()).get("live") or {}).get("adapter") or "")
    under_way.end(proposed.outcome, proposed.reason)
    make_room(settings.data, settings.models, settings.keep_days, time.time())
    result = read_result(best.run) or {}
    whole, reason = judged.gathered.whole, proposed.reason if best.verdict.passed else ""
    return Night(whole, result, best.adapter, best.verdict, best.teacher, proposed.live, reason, best.memory)


async def _begun(settings: NightSettings, day: Day) -> UnderWay:
    """The night that was cut short, or a new one, which reads traces up to a mark that is fixed now."""
    async with await TraceStore.open(settings.data / "traces.db", _BUSY_SECONDS) as store:
        watermark = await store.watermark()
    diary = Diary(settings.data / "nights")
    live = str(((await day.status()).get("live") or {}).get("adapter") or "")
    record = diary.begin(await asyncio.to_thread(lambda: settings.digest), watermark, live, time.time())
    return UnderWay(diary, record, settings.until, peak_memory)


def _left(settings: NightSettings) -> float | None:
    return None if settings.deadline is None else max(0.0, settings.deadline - time.time())


async def _gathered(
    settings: NightSettings,
    recipe: Recipe,
    record: Record,
    items: Sequence[Item],
    old: Served | None,
    progress: Progress,
) -> Gathered:
    """What is learnt from; what this night gathered before it was cut short, if that is still whole. Raises NightOver
    where nothing is new."""
    datasets = settings.data / "datasets"
    if record.datasets and all(is_one(name) and _whole(datasets / name) for name in record.datasets.values()):
        made = {part: described(datasets / name) for part, name in record.datasets.items()}
        return Gathered(made["whole"], made.get("fresh"), record.conversations, record.new, record.dropped)
    diary = Diary(settings.data / "nights")
    known = Known.by(
        diary.nights, old.learnt(diary.nights) if old is not None else None, record.name, diary.last_began(record)
    )
    try:
        found = await gather(settings, items, record.watermark, known, recipe.batch, progress, before=record.began)
    except Unlike as unlike:
        record.conversations, record.dropped = unlike.conversations, unlike.dropped
        doubt(diary.nights, record.name, unlike.traces)
        raise NightOver("doubted", f"{unlike}: {_TRUST.format(night=record.name)}") from unlike
    diary.learnt(record, found.traces)
    parts = {"whole": found.whole, "fresh": found.fresh}
    record.datasets = {part: made.digest for part, made in parts.items() if made is not None}
    record.conversations, record.new, record.dropped = found.conversations, found.new, found.dropped
    if told := nothing_new(old, recipe, found.new):
        raise NightOver("nothing", told)
    return found


def _whole(folder: Path) -> bool:
    try:
        return intact(folder)
    except DatasetError:
        return False


async def _train(
    settings: NightSettings,
    recipe: Recipe,
    under_way: UnderWay,
    gathered: Gathered,
    old: Served | None,
    day: Day,
    progress: Progress,
) -> list[tuple[Order, Path]]:
    """The candidates' runs. One for which there is no time is left out where another one was trained."""
    record, diary = under_way.record, Diary(settings.data / "nights")
    before = [one for one in diary.newest_first() if one.name != record.name]
    due = from_base_due(before, settings.from_base)
    reserve = _after(before, settings)
    done: list[tuple[Order, Path]] = []
    for order in await asyncio.to_thread(orders, settings, recipe, gathered.whole, gathered.fresh, old, due):
        progress.stage("training", None)
        try:
            chosen = await _trained(order, settings, under_way, reserve, day, progress)
        except NightOver:
            if not done:
                raise
            under_way.record.steps[name_of(order)] = _LEFT_OUT
            under_way.write()
            continue
        folder = folder_of(settings.models, chosen)
        under_way.saw(int((read_result(folder) or {}).get("peak_memory_bytes", 0)))
        done.append((chosen, folder))
    return done


async def _trained(
    order: Order, settings: NightSettings, under_way: UnderWay, reserve: float, day: Day, progress: Progress
) -> Order:
    """The order as it was trained, in memory that is borrowed; where that is wished, and somebody asks for a model
    meanwhile, training waits at its last checkpoint until it is quiet again."""
    while True:
        try:
            async with borrowed(day, settings.lease_bytes, under_way.alive) as lent:
                chosen = await _with_steps(order, settings, under_way, reserve)
                steps = Steps(progress, lent if settings.gives_way else Lent(), order.recipe.checkpoint)
                await train(chosen, folder_of(settings.models, chosen), steps.tell)
                return chosen
        except GaveWay as gave_way:
            progress.stage(str(gave_way), None)
            await quiet(day, settings.gives_way)


async def _with_steps(order: Order, settings: NightSettings, under_way: UnderWay, reserve: float) -> Order:
    """The order with the steps that this night's time allows, which are written down before the first one: started
    again, the night trains the same."""
    key, known = name_of(order), under_way.record.steps
    if (folder_of(settings.models, order) / RESULT).exists():
        return order
    if known.get(key) == _LEFT_OUT:
        raise NightOver("nothing", "there was no time for it when the night got so far")
    if key not in known:
        fitted = await in_time(order, settings, reserve)
        known[key] = fitted.steps or 0
        under_way.write()
    return msgspec.structs.replace(order, steps=known[key] or order.steps)


def _after(before: Sequence[Record], settings: NightSettings) -> float:
    """Seconds that are kept for what comes after training: what it took last time, or a share of the night."""
    if settings.deadline is None:
        return 0.0
    for one in before:
        if "propose" in one.stages:
            return 1.25 * sum(one.stages[name].seconds for name in ("examine", "certify", "propose"))
    return _AFTER * max(0.0, settings.deadline - time.time())


class Steps:
    """The steps of one start of a training, told as they come."""

    def __init__(self, progress: Progress, lent: Lent, checkpoint: int) -> None:
        self._progress, self._lent, self._checkpoint = progress, lent, checkpoint
        self._first: int | None = None

    def tell(self, step: Step) -> None:
        """Raises GaveWay in the step after a checkpoint, if the memory is wanted: a checkpoint of this start, so that
        each start brings the training on."""
        self._first = step.step if self._first is None else self._first
        self._progress.stage("training", step.steps)
        self._progress.step(step.step, f"loss {step.loss:.3f}")
        kept = step.step - 1  # is on the disk, if it was a checkpoint's
        if self._lent.wanted and kept % self._checkpoint == 0 and self._first <= kept and step.step < step.steps:
            raise GaveWay(f"waiting at step {kept}: somebody asks for a model")


async def _propose(day: Day, best: Examined, made: Sequence[str], beside: str) -> Proposed:
    """The best adapter is proposed, if it passed; whatever does not serve is taken off the engine."""
    for adapter in made:
        if adapter != best.adapter or not best.verdict.passed:
            await _take_off(day, adapter)
    if not best.verdict.passed:
        return Proposed(None, "refused", "; ".join(best.verdict.reasons))
    told = {"passed": True, "p_value": best.verdict.p_value, "beside": beside}
    try:
        answer = await day.propose(best.adapter, best.folder, told)
    except DayConflict as error:
        await _take_off(day, best.adapter)
        return Proposed(None, "refused", f"not proposed: {error}")
    if answer["canary"] is not None:
        return Proposed(None, "canary", _CANARY)
    return Proposed(dict(answer["live"]), "promoted", "")


async def _take_off(day: Day, adapter: str) -> None:
    """Take an adapter off the engine, unless it serves: a night with nothing new makes the same one again."""
    with suppress(DayConflict):
        await day.remove_adapter(adapter)


def _suspect_what_harmed(settings: NightSettings, record: Record) -> None:
    """What came since what serves was made, and made it worse when it was trained further on that."""
    nights = settings.data / "nights"
    old = served(settings.models, record.served)
    if old is not None and harmed(record) and (known := old.learnt(nights)):
        suspect(nights, record.name, read_learnt(nights, record.name) - known)
