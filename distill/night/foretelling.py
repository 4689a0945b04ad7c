"""Foretelling: what a night would do now, with time and memory, measured as far as that can be without doing it.

Asks no teacher, leaves nothing behind and writes nothing down. What labels a teacher would still give cannot be known;
the night may therefore learn from more.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path

import msgspec

from distill.dataset import alone
from distill.day import Day, serves
from distill.examination.answers import read_answers
from distill.examination.items import Item
from distill.night.borrowing import borrowed
from distill.night.candidates import Served, estimated, folder_of, nightly_recipe, nothing_new, orders, served
from distill.night.diary import STAGES, Diary, Done, Record, Stage, from_base_due
from distill.night.examining import adapter_seat, base_seat, sheets_of, teacher_seat
from distill.night.gathering import Gathered, Known, Unlike, gather
from distill.night.setting import draw
from distill.night.settings import NightOver, NightSettings, Progress
from distill.store.store import TraceStore
from distill.train.recipe import Recipe
from distill.train.record import RESULT, Estimate


class Training(msgspec.Struct, frozen=True):
    """A candidate. `parent` is the adapter that it would be trained from further, "" for the base; `found` is what its
    training would take, None where that run is there already."""

    parent: str
    conversations: int
    found: Estimate | None


class Foretold(msgspec.Struct, frozen=True):
    """What a night would do. `resumed` is the name of one that would be gone on with; `questions` are those that each
    arm would be asked, by label; `last` is what stages took last time, of the stages that cannot be measured."""

    resumed: str
    serves: str
    traces: int
    conversations: int
    new: int
    dropped: dict[str, int]
    trainings: list[Training]
    questions: dict[str, int]
    last: dict[Stage, Done]
    deadline: float | None


async def foretell(settings: NightSettings, day: Day, progress: Progress) -> Foretold:
    """Raises NightOver where a night would end before it trains, and what a night's stages raise."""
    recipe = nightly_recipe(settings.recipe)
    diary = Diary(settings.data / "nights")
    status = await day.status()
    live = serves(status)
    with alone(settings.data / "datasets"), tempfile.TemporaryDirectory(dir=settings.data, prefix=".foretold-") as work:
        record = _resumed(diary, settings)
        resumed = record.name if record is not None else ""
        items, questions = await draw(settings, diary, progress)
        watermark = record.watermark if record is not None else await _watermark(settings)
        beside = record.served if record is not None else live
        old = served(settings.models, beside, settings.base)
        since = diary.last_began(record, time.time())
        learnt = old.learnt(diary.nights) if old is not None else None
        known = Known.by(diary.nights, learnt, resumed, since)
        try:
            gathered = await gather(settings, items, watermark, known, recipe.batch, progress, Path(work))
        except Unlike as unlike:
            raise NightOver("doubted", str(unlike)) from unlike
        parts = {"whole": gathered.whole, "fresh": gathered.fresh}
        datasets = {part: made.digest for part, made in parts.items() if made is not None}
        now = Record(resumed, time.time(), watermark, settings.digest, beside, datasets=datasets)
        if told := nothing_new(old, recipe, gathered.new) or diary.judged_before(now, settings.from_base):
            raise NightOver("nothing", told)
        async with borrowed(day, settings.lease_bytes):  # as when it is trained
            trainings = await _trainings(settings, recipe, diary, resumed, gathered, old, progress)
    before = [one for one in diary.newest_first() if "propose" in one.stages]
    asked = _asked(settings, items, questions, old, len(trainings), str(status["teacher"].get("model") or "teacher"))
    return Foretold(
        resumed,
        live,
        watermark,
        gathered.conversations,
        gathered.new,
        gathered.dropped,
        trainings,
        asked,
        _last(before[0]) if before else {},
        settings.deadline,
    )


def _last(record: Record) -> dict[Stage, Done]:
    return {name: record.stages[name] for name in STAGES if name != "train" and name in record.stages}


def _resumed(diary: Diary, settings: NightSettings) -> Record | None:
    return next((one for one in diary.newest_first() if diary.resumable(one, settings.digest, time.time())), None)


async def _watermark(settings: NightSettings) -> int:
    async with await TraceStore.open_to_read(settings.data / "traces.db") as store:
        return await store.watermark()


async def _trainings(
    settings: NightSettings,
    recipe: Recipe,
    diary: Diary,
    resumed: str,
    gathered: Gathered,
    old: Served | None,
    progress: Progress,
) -> list[Training]:
    """`resumed` is the night that would go on, which says nothing of what is due in it."""
    progress.stage("measuring a few batches", None)
    due = from_base_due([one for one in diary.newest_first() if one.name != resumed], settings.from_base)
    found = []
    for order in await asyncio.to_thread(orders, settings, recipe, gathered.whole, gathered.fresh, old, due):
        of = gathered.fresh if order.warm and gathered.fresh is not None else gathered.whole
        there = (folder_of(settings.models, order) / RESULT).exists()
        parent = Path(order.warm).name if order.warm else ""
        found.append(Training(parent, of.train, None if there else await estimated(order)))
    return found


def _asked(
    settings: NightSettings, items: list[Item], questions: str, old: Served | None, candidates: int, teacher: str
) -> dict[str, int]:
    """How many questions each arm was not asked yet."""
    seats = [base_seat(settings.base), teacher_seat(teacher)]
    if settings.prompt is not None:
        seats.append(base_seat(settings.base, settings.prompt, "prompt-only"))
    if old is not None:
        seats.append(adapter_seat(settings.base, old.name, old.folder, "served"))
    folder = sheets_of(settings.data, questions, settings.at_once, settings.timed)
    ids = {item.question.id for item in items}
    asked = {}
    for seat in seats:
        answered = read_answers(folder / f"{seat.identity}.jsonl")
        asked[seat.arm.label] = len(ids - {key for key, one in answered.items() if not one.failed})
    return {**asked, **{f"candidate {number + 1}": len(items) for number in range(candidates)}}
