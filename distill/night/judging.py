"""Judging: a night's candidates beside the base, what serves, and the teacher, on the same questions.

Owns who is compared with whom. What a comparison says is the rules' (`distill.gate`, `distill.succession`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
from openai import AsyncOpenAI

from distill.day import Day
from distill.examination.answers import Answered
from distill.examination.items import Item
from distill.examination.marking import changed, paired_marks
from distill.examination.scores import Score, score
from distill.examination.sitting import Pace, pace
from distill.gate import Verdict, judge
from distill.night.candidates import Served
from distill.night.diary import Candidate, Diary, Record, UnderWay
from distill.night.examining import (
    Hall,
    Seat,
    adapter_seat,
    asked_again,
    base_seat,
    marks_of,
    sheets_of,
    sit_seat,
    teacher_seat,
    write_answers,
)
from distill.night.settings import NightError, NightSettings, Progress
from distill.publishing import publish, write_card
from distill.statistics import mcnemar
from distill.succession import Succession, level_of, succession
from distill.train.order import Order
from distill.train.record import read_result


class Examined(msgspec.Struct, frozen=True):
    """A candidate with its verdict, and how the teacher did, None where it did not answer. `memory` is in bytes, by
    arm."""

    adapter: str
    folder: Path
    run: Path
    verdict: Verdict
    teacher: Score | None
    memory: dict[str, int]


class Sat(msgspec.Struct, frozen=True):
    """What an arm answered, the most bytes that its process took, and whether it was asked just `now`."""

    answers: list[Answered]
    memory: int
    now: bool


async def examined(
    settings: NightSettings,
    under_way: UnderWay,
    items: list[Item],
    runs: Sequence[tuple[Order, Path]],
    old: Served | None,
    day: Day,
    progress: Progress,
) -> list[Examined]:
    """The candidates of these runs, published, examined and judged. Raises NightError where an arm cannot be examined;
    a teacher that cannot is left out."""
    record = under_way.record
    hall = _hall(settings, record, items)
    level = level_of(Diary(settings.data / "nights").verdicts_on(record.questions, record.name)) / len(runs)
    found: list[Examined] = []
    known = {one.adapter: one for one in record.candidates}  # before the night was cut short
    async with day.client() as client:
        arms = await _others(settings, hall, old, day, client, progress)
        if old is not None and record.noise is None and not arms["served"].now:
            seat = adapter_seat(settings.base, old.name, old.folder, "served")
            record.noise = await asked_again(hall, seat, client, arms["served"].answers, record.name)
        for order, run in runs:
            adapter, folder = publish(settings.models, run)
            await day.add_adapter(adapter, folder)
            arms["adapter"] = await _sit(hall, adapter_seat(settings.base, adapter, folder), day, client, progress)
            verdict = _given(known.get(adapter)) or verdict_of(arms, old, level, settings.margin)
            made = _candidate(adapter, order, run, verdict)
            record.candidates = [*(one for one in record.candidates if one.adapter != adapter), made]
            under_way.write()
            write_card(folder, run, verdict, record.name)
            for label, sat in arms.items():
                write_answers(folder, label, items, sat.answers)
            teacher = score(marks_of(arms["teacher"].answers)) if "teacher" in arms else None
            found.append(
                Examined(adapter, folder, run, verdict, teacher, {name: sat.memory for name, sat in arms.items()})
            )
    return found


def _given(before: Candidate | None) -> Verdict | None:
    """The verdict that this night gave before it was cut short: it may have been acted upon."""
    return msgspec.convert(before.verdict, Verdict) if before is not None and before.verdict is not None else None


def _candidate(adapter: str, order: Order, run: Path, verdict: Verdict) -> Candidate:
    parent = Path(order.warm).name if order.warm else ""
    told, result = msgspec.to_builtins(verdict), read_result(run) or {}
    wanted = sum(result.get(name, 0) for name in ("examples", "silent", "too_long"))
    return Candidate(
        adapter, run.name, Path(order.dataset).name, parent, order.steps or 0, told, wanted, result.get("too_long", 0)
    )


def best_of(found: Sequence[Examined]) -> Examined:
    """The one to propose: of those that passed, else of all, the one with most exact calls, then right answers."""

    def order(one: Examined) -> tuple[bool, int, int]:
        told = one.verdict.adapter
        return one.verdict.passed, told.exact_calls.hits, told.right_answers.hits

    return max(found, key=order)


def _hall(settings: NightSettings, record: Record, items: list[Item]) -> Hall:
    folder = sheets_of(settings.data, record.questions, settings.at_once, settings.timed)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    alone = pace(items, settings.at_once, settings.timed)
    return Hall(items, folder, Pace(settings.at_once), alone, settings.examination.max_tokens)


async def _others(
    settings: NightSettings, hall: Hall, old: Served | None, day: Day, client: AsyncOpenAI, progress: Progress
) -> dict[str, Sat]:
    """Everybody but the candidates, by label."""
    status = await day.status()
    seats = [base_seat(settings.base)]
    if settings.prompt is not None:
        seats.append(base_seat(settings.base, settings.prompt, "prompt-only"))
    if old is not None:
        await day.add_adapter(old.name, old.folder)
        seats.append(adapter_seat(settings.base, old.name, old.folder, "served"))
    arms = {seat.arm.label: await _sit(hall, seat, day, client, progress) for seat in seats}
    teacher = teacher_seat(str(status["teacher"].get("model") or "teacher"))
    try:
        arms["teacher"] = await _sit(hall, teacher, day, client, progress)
    except NightError as error:
        progress.step(note=f"without the teacher: {error}")
    return arms


async def _sit(hall: Hall, seat: Seat, day: Day, client: AsyncOpenAI, progress: Progress) -> Sat:
    return Sat(*await sit_seat(hall, seat, day, client, progress))


def verdict_of(arms: dict[str, Sat], old: Served | None, level: float, margin: float) -> Verdict:
    """Better than its base, than its base with a prompt, and fit to follow what serves. What an endpoint failed to
    answer says nothing of a model, so that question is left out for all. Memory is compared where both sat just now: an
    engine's peak is of all that it did since it was started."""
    asked = {name: sat for name, sat in arms.items() if name != "teacher"}
    failed = {one.mark.question for sat in asked.values() for one in sat.answers if one.failed}
    marks = {
        name: [mark for mark in marks_of(sat.answers) if mark.question not in failed] for name, sat in asked.items()
    }
    both = asked["base"].now and asked["adapter"].now
    room = (asked["base"].memory or None, asked["adapter"].memory or None) if both else (None, None)
    found = judge(marks["base"], marks["adapter"], level, room)
    reasons = list(found.reasons)
    if "prompt-only" in marks:
        p_value = mcnemar(*changed(paired_marks(marks["prompt-only"], marks["adapter"])))
        if p_value > level:
            reasons.append(f"not significantly more exact calls than the base with a prompt (p = {p_value:.3g})")
    beside: Succession | None = None
    if old is not None:
        beside = succession(old.name, marks["served"], marks["adapter"], level, margin)
        if not beside.may_follow:
            reasons.append(beside.told)
    return msgspec.structs.replace(found, passed=not reasons, reasons=reasons, succession=beside)
