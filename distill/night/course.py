"""The course of a night: label, filter, train, examine, certify, propose.

Reads top to bottom. What each stage makes lies in a folder named by what went into it, and the diary says which stages
are over, so a night that was killed goes on where it stopped when it is started again, and ends with the same adapter.
Talks to models through the gateway only, and writes proposals only: the gateway alone decides what serves.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, NamedTuple

import msgspec

from distill.dataset import Dataset, alone, described
from distill.day import Day, DayConflict, DayError, serves
from distill.errors import DistillError
from distill.examination.items import Item
from distill.examination.scores import Score
from distill.gate import Verdict
from distill.machine import peak_memory
from distill.naming import is_one
from distill.night.blaming import blame
from distill.night.candidates import Served, nightly_recipe, nothing_new, served
from distill.night.diary import Diary, NightStopped, Outcome, Record, UnderWay, came_of
from distill.night.doubting import doubt
from distill.night.gathering import Gathered, Known, Unlike, gather, is_whole, label_traces
from distill.night.judging import Examined, best_of, examined
from distill.night.pausing import paused
from distill.night.retention import make_room
from distill.night.setting import draw
from distill.night.settings import NightError, NightOver, NightSettings, Progress
from distill.night.training import trained
from distill.store.store import TraceStore
from distill.train.recipe import Recipe
from distill.train.record import read_result

_BUSY_SECONDS = 60.0  # that the gateway is waited for: it may be forgetting much
_HEARD = 60.0  # seconds between two signs of life
_CANARY = "a canary now: it serves a growing share of the conversations until it has earned them all"
_TRUST = "nights leave it out until somebody says `nightschool trust {night}`"


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
    """One night. `certify` is awaited with "" for what serves, once the day is filtered, and with the name of an
    adapter that passed, before it is proposed.

    Raises NightOver where there is nothing to learn or no time left, NightStopped after the stage that was to be the
    last, DatasetError where another night is at work, and DatasetError, NightError, TrainerError or DayError when a
    stage cannot go on. The diary tells all of it.
    """
    recipe = nightly_recipe(settings.recipe)
    if pause := paused(settings.data, time.time()):
        raise NightOver("nothing", pause)
    with alone(settings.data / "datasets"):
        under_way = await _begun(settings, day)
        try:
            async with _heard_of(under_way):
                work = _judged(settings, recipe, under_way, day, progress, certify)
                judged = await _in_time(work, settings, under_way)
            # what was begun here is ended, whatever the time
            return await _proposed(settings, recipe, under_way, day, judged)
        except NightOver as over:
            await _ended_early(under_way, day, over)
            raise
        except NightStopped:
            raise
        except (DistillError, OSError) as error:
            under_way.cut_short(str(error))
            raise
        except sqlite3.Error as error:
            under_way.cut_short(f"the trace store: {error}")
            raise NightError(f"the trace store cannot be used now: {error}") from error


@asynccontextmanager
async def _heard_of(under_way: UnderWay) -> AsyncIterator[None]:
    """Other machines that share the home see that somebody is at the night."""

    async def tell() -> None:
        while True:
            await asyncio.sleep(_HEARD)
            under_way.alive()

    telling = asyncio.create_task(tell())
    try:
        yield
    finally:
        telling.cancel()


async def _ended_early(under_way: UnderWay, day: Day, over: NightOver) -> None:
    """A night that proposes nothing; or it did, was killed before it wrote that down, and has no time to see it."""
    record = under_way.record
    outcome: Outcome = over.outcome
    record.serves = record.served
    with suppress(DayError):
        status = await day.status()
        record.serves = serves(status)
        found, chosen = came_of(record, record.serves, _on_trial(status))
        if found:
            outcome, record.chosen = found, chosen
    under_way.end(outcome, str(over))
    with suppress(DayError):
        for one in record.candidates:
            await _take_off(day, one.adapter)


def _on_trial(status: dict[str, Any]) -> set[str]:
    """The adapters of the canary that runs."""
    experiment = (status.get("canary") or {}).get("experiment") or {}
    return {str(arm.get("adapter")) for arm in experiment.get("arms", ()) if arm.get("adapter")}


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
    old = await asyncio.to_thread(served, settings.models, record.served, settings.base)
    with under_way.stage("label"):
        if not under_way.over("label"):
            await label_traces(settings, record.watermark, day, progress)
    with under_way.stage("filter"):
        try:
            gathered = await _gathered(settings, recipe, record, items, old, progress)
        except DistillError:
            await _certify_served(under_way, certify)
            raise
    await _certify_served(under_way, certify)
    with under_way.stage("train"):
        runs = await trained(settings, recipe, under_way, gathered, old, day, progress)
    with under_way.stage("examine"):
        found = await examined(settings, under_way, items, runs, old, day, progress)
        under_way.saw(max(size for one in found for size in one.memory.values()))
    best = best_of(found)
    with under_way.stage("certify"):
        if best.verdict.passed:
            await _certify(under_way, certify, best.adapter)
    return Judged(gathered, best, [one.adapter for one in found])


async def _certify_served(under_way: UnderWay, certify: Callable[[str], Awaitable[None]]) -> None:
    """On a night that learns nothing, too, and once it is known whether the day is unlike all before."""
    if under_way.record.served:  # a base that was taught nothing answers nothing
        await _certify(under_way, certify, "")


async def _certify(under_way: UnderWay, certify: Callable[[str], Awaitable[None]], adapter: str) -> None:
    """Once a night: a test of the same labels anew would be worth less."""
    if adapter not in under_way.record.certified:
        await certify(adapter)
        under_way.record.certified = [*under_way.record.certified, adapter]
        under_way.write()


async def _proposed(settings: NightSettings, recipe: Recipe, under_way: UnderWay, day: Day, judged: Judged) -> Night:
    best = judged.best
    with under_way.stage("propose"):
        proposed = await _propose(day, best, judged.made, under_way.record.served)
    left_out = "" if best.verdict.passed else blame(settings, recipe, under_way.record)
    under_way.record.chosen = best.adapter
    under_way.record.serves = serves(await day.status())
    under_way.end(proposed.outcome, "; ".join(filter(None, (proposed.reason, left_out))))
    make_room(settings.data, settings.models, settings.keep_days, time.time())
    result = read_result(best.run) or {}
    whole, reason = judged.gathered.whole, proposed.reason if best.verdict.passed else ""
    return Night(whole, result, best.adapter, best.verdict, best.teacher, proposed.live, reason, best.memory)


async def _begun(settings: NightSettings, day: Day) -> UnderWay:
    """The night that was cut short, or a new one, which reads traces up to a mark that is fixed now."""
    now = time.time()  # what comes from here on another night looks at
    async with await TraceStore.open(settings.data / "traces.db", _BUSY_SECONDS) as store:
        watermark = await store.watermark()
    diary = Diary(settings.data / "nights")
    status = await day.status()
    inputs = await asyncio.to_thread(lambda: settings.digest)
    record = diary.begin(inputs, watermark, serves(status), now, _on_trial(status))
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
    if record.datasets and all(is_one(name) and is_whole(datasets / name) for name in record.datasets.values()):
        made = {part: described(datasets / name) for part, name in record.datasets.items()}
        found = Gathered(made["whole"], made.get("fresh"), record.conversations, record.new, record.dropped)
    else:
        found = await _gathered_anew(settings, recipe, record, items, old, progress)
    if told := nothing_new(old, recipe, found.new):
        raise NightOver("nothing", told)
    diary = Diary(settings.data / "nights")
    if told := diary.judged_before(record, settings.from_base):
        raise NightOver("nothing", told)
    return found


async def _gathered_anew(
    settings: NightSettings,
    recipe: Recipe,
    record: Record,
    items: Sequence[Item],
    old: Served | None,
    progress: Progress,
) -> Gathered:
    """Out of the store. Raises NightOver where what came is unlike all before, which is doubted then."""
    diary = Diary(settings.data / "nights")
    learnt = old.learnt(diary.nights) if old is not None else None
    known = Known.by(diary.nights, learnt, record.name, diary.last_began(record, record.began))
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
    return found


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
