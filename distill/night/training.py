"""Training: a night's candidates, one after the other, in memory that is borrowed, with the steps that its time allows.

Owns how steps and waiting are written down, so that a night that was killed trains the same when it goes on. Knows
nothing of what is trained on, nor of what becomes of it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from distill.day import Day
from distill.night.borrowing import GaveWay, Lent, borrowed, quiet
from distill.night.candidates import Served, folder_of, in_time, orders, train
from distill.night.diary import Diary, Record, UnderWay, from_base_due
from distill.night.gathering import Gathered
from distill.night.settings import NightOver, NightSettings, Progress
from distill.train.order import Order, name_of
from distill.train.recipe import Recipe
from distill.train.record import RESULT, Step, read_result

_LEFT_OUT = -1  # steps of a candidate for which there was no time
_ARMS = 5  # the base, the base with a prompt, what serves, the teacher, and the candidate
_SLACK = 1.25
_AFTER = 0.25  # of a night is kept for what comes after training, where no night before says how long that takes


async def trained(
    settings: NightSettings,
    recipe: Recipe,
    under_way: UnderWay,
    gathered: Gathered,
    old: Served | None,
    day: Day,
    progress: Progress,
) -> list[tuple[Order, Path]]:
    """The candidates' orders with the folders of their runs. One for which there is no time is left out where another
    one was trained. Raises NightOver where there is time for none, TrainerError or DayError."""
    record, diary = under_way.record, Diary(settings.data / "nights")
    before = [one for one in diary.newest_first() if one.name != record.name]
    due = from_base_due(before, settings.from_base)
    reserve = reserved(before, settings, record.questions)
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
    if (finished := _finished(order, settings, under_way.record)) is not None:
        return finished
    while True:
        try:
            async with borrowed(day, settings.lease_bytes) as lent:
                chosen = await _with_steps(order, settings, under_way, reserve)
                steps = Steps(progress, lent if settings.gives_way else Lent(), order.recipe.checkpoint)
                await train(chosen, folder_of(settings.models, chosen), steps.tell)
                return chosen
        except GaveWay as gave_way:
            progress.stage(str(gave_way), None)
            await quiet(day, settings.gives_way)


def _finished(order: Order, settings: NightSettings, record: Record) -> Order | None:
    """The order as a run was finished that lies there already; None: none did."""
    steps = record.steps.get(name_of(order), 0)
    shorter = [msgspec.structs.replace(order, steps=steps)] if steps > 0 else []
    return next((one for one in (order, *shorter) if (folder_of(settings.models, one) / RESULT).exists()), None)


async def _with_steps(order: Order, settings: NightSettings, under_way: UnderWay, reserve: float) -> Order:
    """The order with the steps that this night's time allows, which are written down before the first one: started
    again, the night trains the same."""
    key, known = name_of(order), under_way.record.steps
    if known.get(key) == _LEFT_OUT:
        raise NightOver("nothing", "there was no time for it when the night got so far")
    if key not in known:
        fitted = await in_time(order, settings, reserve)
        known[key] = fitted.steps or 0
        under_way.write()
    return msgspec.structs.replace(order, steps=known[key] or order.steps)


def reserved(before: Sequence[Record], settings: NightSettings, questions: str) -> float:
    """Seconds that are kept for what comes after training: what it took last time, or a share of the night. Where the
    questions are others than then, all arms are asked, and not only the candidate."""
    if settings.deadline is None:
        return 0.0
    for one in before:
        if "propose" in one.stages:
            arms = 1 if one.questions == questions else _ARMS
            return _SLACK * (arms * one.stages["examine"].seconds + one.stages["certify"].seconds)
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
