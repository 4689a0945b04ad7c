"""`nightschool status` beside a real gateway, and without one."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from distill.night.diary import Diary, Done, Outcome
from distill.store.store import Answered
from gateway.backends.scripted import Act
from gateway.watching.status import traffic
from tests.gateway.running import Running, Script, environment, nightschool

KEYS = [
    "url",
    "up",
    "note",
    "arms",
    "recorder",
    "leased_bytes",
    "live",
    "not_loaded",
    "router",
    "canary",
    "pin",
    "paused",
]
KEYS += ["today", "night"]
LIVE = {"adapter": "small-1", "path": "p", "digest": "d", "since": "2026-11-24T06:00:00+00:00", "previous": None}


def status(gateway: Running, *options: str, code: int = 0) -> str:
    done = nightschool("status", *options, home=gateway.home, NIGHTSCHOOL_GATEWAY_PORT=str(gateway.port))
    assert (done.returncode, done.stderr) == (code, "")
    return done.stdout


def as_json(gateway: Running, code: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(status(gateway, "--json", code=code))
    assert list(found) == KEYS
    return found


def write_night(home: Path, began: float, outcome: Outcome = "", reason: str = "", adapter: str = "") -> str:
    """A night of the diary, which got as far as training; its name. Without an outcome it is not over."""
    diary = Diary(home / "data" / "nights")
    record = diary.begin("inputs", 1, "", began)
    record.stages = {"filter": Done(began, 1.0), "train": Done(began, 2.0)}
    record.chosen = adapter
    if outcome:
        diary.end(record, outcome, reason, began + 60.0)
    else:
        record.reason = reason
        diary.write(record)
    return record.name


@pytest.fixture(scope="module")
def day(student: Script, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A gateway with a remote student and a local teacher, after five requests."""
    student.play(Act(text="student"))
    with Running(tmp_path_factory.mktemp("day"), student.url, teacher__model="expert") as running:
        running.wait_ready()
        for model in ("nightschool", "student", "nightschool", "teacher"):
            assert running.chat(f"Hi {model}", model)[0] == 200
        student.play(Act(status=500))
        assert running.chat("Hi", "student")[0] >= 500
        running.wait(lambda health: health["traces"]["written"] == 5)
        yield running


def test_the_arms_are_told_with_what_is_known_of_their_processes(day: Running) -> None:
    found = as_json(day)
    assert (found["url"], found["up"], found["note"]) == (day.url, True, "")
    student, teacher = found["arms"]["student"], found["arms"]["teacher"]
    assert student == {
        **{"model": "small", "ready": True, "local": False, "in_flight": 0, "waiting": 0},
        **{"pid": None, "peak_memory_bytes": None},
    }
    assert (teacher["model"], teacher["ready"], teacher["local"]) == ("expert", True, True)
    assert Path(f"/proc/{teacher['pid']}").exists() or sys.platform == "darwin"
    assert teacher["peak_memory_bytes"] > 1_000_000
    assert found["recorder"]["written"] == 5


def test_todays_requests_are_counted_while_the_gateway_writes(day: Running) -> None:
    today = as_json(day)["today"]
    assert today["requests"] == 5
    assert today["student_share"] == 0.8
    assert today["reasons"] == {"verified": 2, "requested": 3}
    assert today["states"] == {"completed": 4, "failed": 1}
    assert {arm: pace["requests"] for arm, pace in today["seconds"].items()} == {"all": 5, "student": 4, "teacher": 1}
    for pace in today["seconds"].values():
        assert 0 < pace["median"] <= pace["p95"] < 30


def test_a_request_under_way_is_seen(day: Running, student: Script) -> None:
    student.play(Act(text="slow words", pieces=5, pause=0.8))
    body = {"model": "student", "stream": True, "messages": [{"role": "user", "content": "Hi"}]}
    asking = threading.Thread(target=day.call, args=("/v1/chat/completions", body))
    asking.start()
    day.wait(lambda health: health["student"]["in_flight"] == 1)
    assert as_json(day)["arms"]["student"]["in_flight"] == 1
    asking.join()
    assert as_json(day)["arms"]["student"]["in_flight"] == 0


def test_leases_and_the_live_adapter_are_told(student: Script, teacher: Script, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "live.json").write_text(json.dumps(LIVE))
    with Running(tmp_path, student.url, teacher.url) as running:
        assert as_json(running)["leased_bytes"] == 0
        running.admin("/admin/lease", {"bytes": 3_000_000_000, "seconds": 60})
        found = as_json(running)
        assert (found["leased_bytes"], found["live"]) == (3_000_000_000, LIVE)
        told = status(running)
        assert "Lent to the night: 3.0 GB" in told
        assert "Live adapter: small-1 since 2026-11-24" in told


def test_people_get_a_table(day: Running) -> None:
    told = status(day)
    assert f"Gateway at {day.url}: up" in told
    arms = {
        line.split()[0]: line.split() for line in told.splitlines() if line.strip().startswith(("student", "teach"))
    }
    assert arms.keys() == {"student", "teacher"}
    assert "by the student" in told
    assert "Last night: there was none yet" in told


def test_watch_tells_again_until_it_is_interrupted(day: Running) -> None:
    command = [sys.executable, "-m", "gateway.cli", "status", "--watch", "--json", "--url", day.url]
    with subprocess.Popen(
        command,
        env=environment(day.home),
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a test run in the background ignores it
    ) as process:
        assert process.stdout is not None
        lines = [json.loads(process.stdout.readline()) for _ in range(2)]
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130
    assert [line["up"] for line in lines] == [True, True]


def test_without_a_gateway_the_day_and_the_night_are_still_told(
    student: Script, teacher: Script, tmp_path: Path
) -> None:
    with Running(tmp_path, student.url, teacher.url) as running:
        running.wait_ready()
        running.chat("Hi")
    write_night(tmp_path, time.time() - 200_000, "promoted", adapter="small-older")
    name = write_night(tmp_path, time.time() - 100_000, "refused", "no fewer exact calls", "small-newer")
    (tmp_path / "models" / "live.json").write_text(json.dumps(LIVE))
    found = as_json(running, code=3)
    assert (found["up"], found["arms"], found["recorder"], found["note"]) == (False, {}, None, "")
    assert found["today"]["requests"] == 1
    assert found["live"] == LIVE
    night = found["night"]
    assert (night["night"], night["outcome"], night["adapter"]) == (name, "refused", "small-newer")
    assert datetime.fromisoformat(night["ended"]) - datetime.fromisoformat(night["began"]) == timedelta(seconds=60)
    told = status(running, code=3)
    assert "down" in told
    assert "nightschool serve" in told
    assert "Last night: refused, small-newer: no fewer exact calls" in told


def test_a_night_that_did_not_reach_its_end_is_told_as_such(tmp_path: Path) -> None:
    write_night(tmp_path, time.time() - 600, reason="the disk is full")
    done = nightschool("status", "--url", "http://127.0.0.1:9", home=tmp_path)
    assert done.returncode == 3
    assert "not over, it stands after 'train': the disk is full" in " ".join(done.stdout.split())


def test_a_night_that_learnt_nothing_is_the_last_one_too(tmp_path: Path) -> None:
    write_night(tmp_path, time.time() - 200_000, "promoted", adapter="small-older")
    write_night(tmp_path, time.time() - 100_000, "nothing", "no trace is new")
    told = " ".join(nightschool("status", "--url", "http://127.0.0.1:9", home=tmp_path).stdout.split())
    assert "Last night: nothing: no trace is new" in told


def test_a_home_that_is_not_the_gateways_is_noted(day: Running, tmp_path: Path) -> None:
    done = nightschool("status", "--json", "--url", day.url, home=tmp_path)
    found = json.loads(done.stdout)
    assert (done.returncode, found["up"], found["arms"]) == (0, True, {})
    assert "admin key" in found["note"]
    (tmp_path / "data").mkdir(exist_ok=True)
    (tmp_path / "data" / "admin.key").write_text("wrong")
    found = json.loads(nightschool("status", "--json", "--url", day.url, home=tmp_path).stdout)
    assert found["up"]
    assert "401" in found["note"]


def test_a_damaged_store_is_noted(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "traces.db").write_bytes(b"no database at all" * 100)
    done = nightschool("status", "--json", "--url", "http://127.0.0.1:9", home=tmp_path)
    found = json.loads(done.stdout)
    assert (done.returncode, found["today"]) == (3, None)
    assert "traces.db cannot be read" in found["note"]


def test_figures_are_those_of_completed_requests() -> None:
    took = [float(second) for second in range(1, 101)]
    answered = [Answered("student", "verified", "completed", second) for second in took]
    found = traffic([*answered, Answered("teacher", "sticky", "aborted", 900.0)], 0.0)
    assert found.seconds["student"].p95 == 95.0
    assert found.seconds["all"].median == pytest.approx(median(took), abs=0.5)
    assert found.seconds["teacher"].p95 is None
    assert found.student_share == pytest.approx(100 / 101)
