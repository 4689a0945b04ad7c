"""`nightschool generate --student`: the student tries, the teacher goes on from where it went wrong."""

from __future__ import annotations

import asyncio
import zlib
from pathlib import Path
from typing import Any

import msgspec
import pytest

from distill.filters import sift
from distill.generate.question import Question
from distill.school.ledger import Settled, Taken
from distill.store.store import TraceStore
from gateway.backends.scripted import Act
from tests.gateway.running import Running, nightschool
from tests.gateway.school.teaching import DETOUR, asked, ledger_lines, question_of, set_folder, teacher
from tests.gateway.school.test_night_after import collector

pytestmark = [pytest.mark.gateways, pytest.mark.timeout(300)]
SETTINGS = {"router__policy": "teacher", "teacher__attempts": 1, "teacher__failures": 0}
KNOWS, STRAYS, SAYS_NOTHING = range(3)


def kind(text: str) -> int:
    return zlib.crc32(text.encode()) % 3


def stumble(body: dict[str, Any]) -> Act | None:
    """The student: right, or once in the wrong place and then at a loss, or at a loss at once."""
    how = kind(question_of(body))
    if how == KNOWS:
        return None
    first = not any(message["role"] == "assistant" for message in body["messages"])
    return Act(calls=[DETOUR]) if how == STRAYS and first else Act(text="I would rather not say.")


def generate(home: Path, url: str, *more: str) -> str:
    flags = ("--repo", "click", "--total", "90", "--student", "student", "--url", url, *more)
    done = nightschool("generate", *flags, home=home)
    assert done.returncode == 0, done.stderr
    return done.stdout


async def learnt(home: Path) -> dict[str, list[str]]:
    """For each conversation that a night learns from, what of it, as text."""
    found: dict[str, list[str]] = {}
    async with await TraceStore.open_to_read(home / "data" / "traces.db") as store:
        night = collector(store, home)
        async for traces in store.conversations():
            for example in (one for sifted in sift([traces], await night.told(traces)) for one in sifted.examples):
                said = [example.messages[at] for at in example.learnt or ()]
                found[example.conversation] = [msgspec.json.encode(message).decode() for message in said]
    return found


def test_the_teacher_goes_on_from_where_the_student_went_wrong(tmp_path: Path) -> None:
    with (
        teacher() as large,
        teacher(of_body=stumble) as small,
        Running(tmp_path, small.url, large.url, **SETTINGS) as gateway,
    ):
        generate(tmp_path, gateway.url)
        again = generate(tmp_path, gateway.url)
        assert "90 are settled" in " ".join(again.split())
        lines = ledger_lines(tmp_path)
        raw = (set_folder(tmp_path) / "questions.jsonl").read_bytes().splitlines()
        questions = {one.id: one for one in (msgspec.json.decode(line, type=Question) for line in raw)}
        settled = {line.question: line for line in lines if isinstance(line, Settled)}
        taken = {line.question: line for line in lines if isinstance(line, Taken)}
        knew = {one.text for one in questions.values() if kind(one.text) == KNOWS}
        assert len(knew) > 10
        for name, one in questions.items():
            assert settled[name].reason == ("known" if one.text in knew else settled[name].reason)
        assert not {text for text, _ in asked(large)} & knew
        strayed = [
            one
            for one in questions.values()
            if kind(one.text) == STRAYS and one.plan and one.vocabulary == "explore" and not one.withheld
        ]
        assert len(strayed) > 5
        for one in strayed:
            assert settled[one.id].kept == 0, settled[one.id]
            assert taken[one.id].calls[0].arguments == DETOUR[1]
            assert len(taken[one.id].calls) == 1 + len(one.plan)
        says = asyncio.run(learnt(tmp_path))
    set_name = set_folder(tmp_path).name
    mine = [says[f"generate/{set_name}/{one.id}/0"] for one in strayed if f"generate/{set_name}/{one.id}/0" in says]
    assert len(mine) > 0.8 * len(strayed)
    spelt = msgspec.json.encode(DETOUR[1]).decode()
    assert not [text for turns in mine for text in turns if spelt in text]
    assert not [name for name in says if name.endswith("/student")]


def test_a_student_that_fails_leaves_its_questions_for_the_next_run(tmp_path: Path) -> None:
    with (
        teacher() as large,
        teacher(spoil=lambda text, answer: Act(status=400)) as small,
        Running(tmp_path, small.url, large.url, **SETTINGS) as gateway,
    ):
        told = generate(tmp_path, gateway.url, "--minutes", "1")
        assert "student_failed" in told
        assert not asked(large)
