"""Examining: the arms of a night on the same questions, each of which is asked only what it was not asked before.

Owns whose answers are kept under which name: an arm is known by the digest of its weights, so one that was examined
last night is not asked again. Knows nothing of verdicts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import partial
from importlib import metadata
from pathlib import Path

import msgspec
from openai import AsyncOpenAI

from distill.day import Day
from distill.digest import combined_digest, file_digest
from distill.examination.answers import Answered, Sheet, digest_of
from distill.examination.arms import Arm
from distill.examination.items import Item
from distill.examination.marking import Mark
from distill.examination.peaks import peaks, remember_peak
from distill.examination.sitting import FAILURES, Pace, sit
from distill.night.diary import Noise
from distill.night.settings import NightError, Progress
from distill.prompts import Prompt
from distill.publishing import CARD
from distill.train.order import base_digest
from router.lot import lot

SHEETS = "sheets"  # in the data folder: a folder for each set of questions
_WEIGHTS = {".safetensors", ".json"}
_PACKAGES = ("nightschool", "mlx", "mlx-lm")  # another version may calculate otherwise
_TRIES = 2
_AGAIN = 12  # questions


class Seat(msgspec.Struct, frozen=True):
    """An arm, and what it is known by."""

    arm: Arm
    identity: str


class Hall(msgspec.Struct, frozen=True):
    """Where an examination is held: its questions, their folder, and how they are put."""

    items: list[Item]
    folder: Path
    at_once: Pace
    alone: Pace
    max_tokens: int


def sheets_of(data: Path, questions: str, at_once: int, timed: int) -> Path:
    """The folder of the answers to these questions, put in this way: seconds are those of how they were put."""
    return data / SHEETS / f"{questions}-{timed}-{at_once}"


def questions_digest(items: Sequence[Item], max_tokens: int) -> str:
    return hashlib.sha256(msgspec.json.encode([digest_of(items), max_tokens])).hexdigest()[:16]


def base_seat(base: Path, prompt: Prompt | None = None, label: str = "base") -> Seat:
    """The base; with a prompt, as it is told it. Another `label` is another sitting of the same."""
    told = msgspec.json.encode(prompt).decode() if prompt else ""
    arm = Arm(label, "prompt" if prompt else "base", base.name, prompt=prompt)
    return Seat(arm, _identity(base_digest(base), told, label))


def adapter_seat(base: Path, name: str, folder: Path, label: str = "adapter") -> Seat:
    return Seat(Arm(label, "adapter", name), _identity(base_digest(base), weights_digest(folder)))


def teacher_seat(model: str) -> Seat:
    """A teacher is known by its model's name alone: what is behind it, nobody tells."""
    return Seat(Arm("teacher", "teacher", "teacher"), _identity("teacher", model))


def weights_digest(folder: Path) -> str:
    """Of an adapter, without its card, which changes with what becomes known of it."""
    parts = [path for path in sorted(folder.iterdir()) if path.suffix in _WEIGHTS and path.name != CARD]
    return combined_digest(f"{path.name}={file_digest(path)}" for path in parts)


async def sit_seat(
    hall: Hall, seat: Seat, day: Day, client: AsyncOpenAI, progress: Progress
) -> tuple[list[Answered], int, bool]:
    """An arm's answers in the order of the questions, the most bytes that its process was seen to take, 0 where nobody
    told, and whether it was asked anything now. What fails is asked once more. Raises NightError where its endpoint
    fails too often."""
    progress.stage(f"examining the {seat.arm.label}", len(hall.items))
    teacher = seat.arm.role == "teacher"
    with Sheet(hall.folder / f"{seat.identity}.jsonl") as sheet:
        open_ones = sheet.left(hall.items)
        progress.step(len(hall.items) - len(open_ones))
        for _ in range(_TRIES):
            if not (left := sheet.left(hall.items)):
                break
            pace = hall.at_once if teacher else hall.alone
            keep = partial(_keep, sheet, progress)
            await sit(client, seat.arm, left, keep, pace=pace, max_tokens=hall.max_tokens)
        if open_ones:
            size = await peak_memory(day, "teacher" if teacher else "student")
            remember_peak(hall.folder, seat.identity, size or None)
        answers = [sheet.answers[item.question.id] for item in hall.items if item.question.id in sheet.answers]
    _check(seat.arm, answers, len(hall.items))
    return answers, peaks(hall.folder).get(seat.identity) or 0, bool(open_ones)


async def asked_again(hall: Hall, seat: Seat, client: AsyncOpenAI, before: Sequence[Answered], night: str) -> Noise:
    """A few questions once more, drawn by lot for each night: how much of an examination is chance, where the same
    adapter answers. Sampling is none, but a batch's size may turn a close decision. What is said counts for nothing
    else."""
    known = {one.mark.question: one.mark for one in before if not one.failed}
    few = sorted(
        (item for item in hall.items if item.question.id in known),
        key=lambda item: lot("again", night, item.question.id),
    )[:_AGAIN]
    said: list[Answered] = []
    await sit(client, seat.arm, few, said.append, pace=hall.at_once, max_tokens=hall.max_tokens)
    marks = [one.mark for one in said if not one.failed]
    changed = sum((one.exact, one.right) != (known[one.question].exact, known[one.question].right) for one in marks)
    return Noise(len(marks), changed)


async def peak_memory(day: Day, arm: str) -> int:
    """Bytes the arm's process has taken at most, as the gateway knows it; 0 where it does not (a remote endpoint)."""
    return int((await day.status()).get("memory", {}).get(arm) or 0)


def marks_of(answers: Sequence[Answered]) -> list[Mark]:
    return [one.mark for one in answers]


def write_answers(folder: Path, label: str, items: Sequence[Item], answers: Sequence[Answered]) -> None:
    """Every answer with its mark beside an adapter, for people who want to see what the numbers stand for."""
    lines = [
        msgspec.json.encode({"question": item.question, "mark": one.mark, "messages": one.messages}) + b"\n"
        for item, one in zip(items, answers, strict=True)
    ]
    (folder / f"examination-{label}.jsonl").write_bytes(b"".join(lines))


def _identity(*parts: str) -> str:
    return combined_digest([*parts, *(metadata.version(name) for name in _PACKAGES)])[:16]


def _keep(sheet: Sheet, progress: Progress, one: Answered) -> None:
    sheet.add(one)
    progress.step()


def _check(arm: Arm, answers: Sequence[Answered], wanted: int) -> None:
    failed = [one.error for one in answers if one.failed]
    if len(answers) < wanted or len(failed) > FAILURES * wanted:
        said = failed[0] if failed else "nothing"
        raise NightError(f"{arm.model} failed {len(failed)} of {len(answers)} questions, {wanted} were meant: {said}")
