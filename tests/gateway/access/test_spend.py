"""What the teacher costs: counted by its usage, kept over a restart, and bounded by the day."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.access.spend import Day, Prices, Spend
from gateway.answering.turn import Ask, Turn
from gateway.backends.scripted import Act
from router.chat import AnswerMessage, Usage
from tests.gateway.running import Running, Script
from tests.router.test_score_and_policy import ASK

USER = [{"role": "user", "content": "Hi"}]
A_UNIT = {"teacher__price_input": 1_000_000, "teacher__price_output": 2_000_000}  # 1 a prompt token, 2 an answer's


def spent(gateway: Running) -> float:
    return float(gateway.admin("/admin/status", b"", "GET")[1]["spend"]["teacher"]["spent"])


def turn_of_the_teacher(usage: Usage | None) -> Turn:
    turn = Turn(Ask(ASK, {}, 3500, "c"))
    turn.usage = usage
    return turn


def test_usage_is_counted_and_the_limit_holds_over_a_restart(tmp_path: Path, student: Script, teacher: Script) -> None:
    settings: dict[str, Any] = {**A_UNIT, "teacher__daily_limit": 30, "router__holdout": 1}
    with Running(tmp_path, student.url, teacher.url, **settings) as gateway:
        gateway.wait_ready()
        assert gateway.chat(model="student")[0] == 200
        assert spent(gateway) == 0
        _, _, answer = gateway.chat(model="teacher")
        one = answer["usage"]["prompt_tokens"] + 2 * answer["usage"]["completion_tokens"]
        assert (one, spent(gateway)) == (14, 14)
        gateway.call("/v1/chat/completions", {"model": "teacher", "stream": True, "messages": USER})
        assert spent(gateway) == 2 * one
        assert gateway.chat(model="teacher")[0] == 200  # the one that goes beyond
        asked = len(teacher.asked)
        status, headers, answer = gateway.chat(model="teacher")
        assert (status, answer["error"]["code"]) == (429, "spend_limit_reached")
        assert int(headers["retry-after"]) == pytest.approx(86_400 - time.time() % 86_400, abs=5)
        assert len(teacher.asked) == asked
        told = gateway.admin("/admin/status", b"", "GET")[1]["spend"]["teacher"]
        assert told == {"day": time.strftime("%Y-%m-%d", time.gmtime()), "spent": 3 * one, "limit": 30}
        time.sleep(0.5)  # it is written within a tenth of a second
        gateway.process.kill()

    with Running(tmp_path, student.url, teacher.url, **settings) as gateway:
        gateway.wait_ready()
        assert gateway.chat(model="teacher")[0] == 429
        assert gateway.chat(model="teacher", body={"stream": True})[0] == 429
        status, headers, _ = gateway.chat()  # in the hold-out, but there is no teacher to compare with
        assert (status, headers["x-nightschool-served-by"]) == (200, "student")
        student.play(Act(text=" "))
        status, headers, answer = gateway.chat()
        assert (status, answer["error"]["code"]) == (429, "spend_limit_reached")
        assert gateway.trace(headers)["decision"]["reason"] == "unverified"


def test_yesterdays_spending_is_not_todays(tmp_path: Path, student: Script, teacher: Script) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "spend.json").write_bytes(msgspec.json.encode(Day("2026-01-01", 1000.0)))
    with Running(tmp_path, student.url, teacher.url, **A_UNIT, teacher__daily_limit=30) as gateway:
        gateway.wait_ready()
        assert spent(gateway) == 0
        assert gateway.chat(model="teacher")[0] == 200


def test_who_goes_away_in_mid_answer_has_spent_all_the_same(tmp_path: Path, student: Script, teacher: Script) -> None:
    teacher.play(Act(text="word " * 100, pieces=100, pause=0.1))
    with Running(tmp_path, student.url, teacher.url, **A_UNIT, gateway__max_seconds=0.8) as gateway:
        gateway.wait_ready()
        gateway.call("/v1/chat/completions", {"model": "teacher", "stream": True, "messages": USER})
        assert spent(gateway) > 10


def test_a_teacher_that_failed_costs_nothing(tmp_path: Path, student: Script, teacher: Script) -> None:
    teacher.play(Act(status=500))
    with Running(tmp_path, student.url, teacher.url, **A_UNIT, teacher__attempts=1) as gateway:
        gateway.wait_ready()
        assert gateway.chat(model="teacher")[0] == 502
        assert spent(gateway) == 0


async def test_the_day_ends_at_midnight_utc(tmp_path: Path) -> None:
    now = 1_795_564_799.0 - 1_795_564_799 % 86_400 + 86_399  # a second before midnight
    spend = Spend(tmp_path / "spend.json", Prices(1.0, 1.0, 2.0), lambda: now)
    spend.start()
    spend.count(turn_of_the_teacher(Usage(1_500_000, 500_000, 2_000_000)))
    assert spend.reached
    assert spend.refusal().retry_after == 1.0
    yesterday = spend.today.day
    now += 1
    assert not spend.reached
    assert (spend.today.spent, spend.today.day > yesterday) == (0.0, True)
    await spend.stop()


async def test_what_was_spent_is_written_soon_and_by_itself(tmp_path: Path) -> None:
    path = tmp_path / "spend.json"
    spend = Spend(path, Prices(1.0, 1.0))
    spend.start()
    spend.count(turn_of_the_teacher(Usage(1_000_000, 0, 1_000_000)))
    await asyncio.sleep(0.5)
    assert msgspec.json.decode(path.read_bytes(), type=Day).spent == 1.0
    spend.count(turn_of_the_teacher(Usage(1_000_000, 0, 1_000_000)))
    await spend.stop()
    assert msgspec.json.decode(path.read_bytes(), type=Day).spent == 2.0


def test_without_usage_it_is_estimated_by_length(tmp_path: Path) -> None:
    spend = Spend(tmp_path / "spend.json", Prices(1.0, 0.0))
    spend.count(turn_of_the_teacher(None))  # 3500 bytes
    assert spend.today.spent == pytest.approx(0.001)
    failed = turn_of_the_teacher(None)
    failed.state = "failed"
    spend.count(failed)
    assert spend.today.spent == pytest.approx(0.001)
    failed.answer = AnswerMessage("what came before it failed")
    spend.count(failed)
    assert spend.today.spent == pytest.approx(0.002)
