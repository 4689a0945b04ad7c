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
from distill.examination.scores import Score, score
from distill.examination.sitting import Pace, pace
from distill.gate import Verdict, judge
from distill.night.candidates import Served
from distill.night.diary import Candidate, Diary, Record
from distill.night.examining import (
    SHEETS,
    Hall,
    Seat,
    adapter_seat,
    base_seat,
    marks_of,
    sit_seat,
    teacher_seat,
    write_answers,
)
from distill.night.settings import NightError, NightSettings, Progress
from distill.publishing import publish, write_card
from distill.statistics import mcnemar
from distill.succession import Succession, level_of, succession
from distill.train.order import Order


class Examined(msgspec.Struct, frozen=True):
    """A candidate with its verdict, and how the teacher did, None where it did not answer. `memory` is in bytes, by
    arm."""

    adapter: str
    folder: Path
    run: Path
    verdict: Verdict
    teacher: Score | None
    memory: dict[str, int]


class _Sat(msgspec.Struct, frozen=True):
    """What an arm answered, and the most bytes that its process took."""

    answers: list[Answered]
    memory: int


async def examined(
    settings: NightSettings,
    record: Record,
    items: list[Item],
    runs: Sequence[tuple[Order, Path]],
    old: Served | None,
    day: Day,
    progress: Progress,
) -> list[Examined]:
    """The candidates of these runs, published, examined and judged. Raises NightError where an arm cannot be examined;
    a teacher that cannot is left out."""
    hall = _hall(settings, record, items)
    level = level_of(Diary(settings.data / "nights").verdicts_on(record.questions))
    made = {publish(settings.models, run): (order, run) for order, run in runs}
    async with day.client() as client:
        arms = await _others(settings, hall, old, day, client, progress)
        found = []
        for (adapter, folder), (_, run) in made.items():
            await day.add_adapter(adapter, folder)
            arms["adapter"] = await _sit(hall, adapter_seat(settings.base, adapter, folder), day, client, progress)
            verdict = _verdict(arms, old, level, settings.margin)
            write_card(folder, run, verdict, record.began)
            for label, sat in arms.items():
                write_answers(folder, label, items, sat.answers)
            teacher = score(marks_of(arms["teacher"].answers)) if "teacher" in arms else None
            memory = {label: sat.memory for label, sat in arms.items()}
            found.append(Examined(adapter, folder, run, verdict, teacher, memory))
    record.candidates = [
        Candidate(
            one.adapter,
            one.run.name,
            Path(order.dataset).name,
            Path(order.warm).name if order.warm else "",
            order.steps or 0,
            msgspec.to_builtins(one.verdict),
        )
        for one, (order, _) in zip(found, made.values(), strict=True)
    ]
    return found


def best_of(found: Sequence[Examined]) -> Examined:
    """The one to propose: of those that passed, else of all, the one with most exact calls, then right answers."""

    def order(one: Examined) -> tuple[bool, int, int]:
        told = one.verdict.adapter
        return one.verdict.passed, told.exact_calls.hits, told.right_answers.hits

    return max(found, key=order)


def _hall(settings: NightSettings, record: Record, items: list[Item]) -> Hall:
    folder = settings.data / SHEETS / record.questions
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    alone = pace(items, settings.at_once, settings.timed)
    return Hall(items, folder, Pace(settings.at_once), alone, settings.examination.max_tokens)


async def _others(
    settings: NightSettings, hall: Hall, old: Served | None, day: Day, client: AsyncOpenAI, progress: Progress
) -> dict[str, _Sat]:
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


async def _sit(hall: Hall, seat: Seat, day: Day, client: AsyncOpenAI, progress: Progress) -> _Sat:
    return _Sat(*await sit_seat(hall, seat, day, client, progress))


def _verdict(arms: dict[str, _Sat], old: Served | None, level: float, margin: float) -> Verdict:
    """Better than its base, than its base with a prompt, and fit to follow what serves."""
    base, mine = arms["base"], arms["adapter"]
    marks = marks_of(mine.answers)
    found = judge(marks_of(base.answers), marks, level, (base.memory or None, mine.memory or None))
    reasons = list(found.reasons)
    if "prompt-only" in arms:
        prompted = {mark.question: mark.exact for mark in marks_of(arms["prompt-only"].answers)}
        gained = sum(mark.exact and not prompted[mark.question] for mark in marks)
        p_value = mcnemar(gained, sum(prompted[mark.question] and not mark.exact for mark in marks))
        if p_value > level:
            reasons.append(f"not significantly more exact calls than the base with a prompt (p = {p_value:.3g})")
    beside: Succession | None = None
    if old is not None:
        beside = succession(old.name, marks_of(arms["served"].answers), marks, level, margin)
        if not beside.may_follow:
            reasons.append(beside.told)
    return msgspec.structs.replace(found, passed=not reasons, reasons=reasons, succession=beside)
