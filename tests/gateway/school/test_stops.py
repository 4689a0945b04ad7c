"""How `nightschool generate` stops, waits and goes on: time, money, Ctrl-C, a busy teacher, a gateway that restarts."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.backends.scripted import Act
from tests.gateway.running import Running, environment, nightschool
from tests.gateway.school.teaching import asked, set_folder, teacher

pytestmark = [pytest.mark.gateways, pytest.mark.timeout(300)]
SETTINGS = {"router__policy": "teacher", "teacher__attempts": 1, "teacher__failures": 0}
PRICES = {"teacher__price_input": 1000.0, "teacher__price_output": 0.0}
IN_ENVIRONMENT = {"NIGHTSCHOOL_TEACHER_PRICE_INPUT": "1000"}


def generate(home: Path, url: str, *more: str, total: int = 40, **settings: str) -> subprocess.CompletedProcess[str]:
    flags = ("--repo", "click", "--total", str(total), "--url", url, *more)
    return nightschool("generate", *flags, home=home, **settings)


def started(home: Path, url: str, total: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "gateway.cli", "generate", "--repo", "click", "--total", str(total), "--url", url]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=environment(home), cwd=home, stdout=pipe, stderr=pipe, text=True)


def all_of(home: Path) -> dict[str, Any]:
    report = msgspec.json.decode((set_folder(home) / "report.json").read_bytes())
    found: dict[str, Any] = report["all"]
    return found


def wait(until: Callable[[], bool], seconds: float = 90.0) -> None:
    end = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_time_and_money(tmp_path: Path) -> None:
    with teacher(delay=0.05) as script, Running(tmp_path, "", script.url, **SETTINGS, **PRICES) as gateway:
        done = generate(tmp_path, gateway.url, "--minutes", "0.01", "--concurrency", "2")
        assert done.returncode == 0, done.stderr
        assert "the time is over" in done.stdout
        some = all_of(tmp_path)["settled"]
        assert 0 < some < 40
        refused = generate(tmp_path, gateway.url, "--max-cost", "1")
        assert "price_input" in refused.stderr
        assert refused.returncode == 1
        done = generate(tmp_path, gateway.url, "--max-cost", "0.001", **IN_ENVIRONMENT)
        assert "has cost 0.001" in done.stdout
        assert all_of(tmp_path)["settled"] == some
        done = generate(tmp_path, gateway.url, "--max-cost", "100000", **IN_ENVIRONMENT)
        assert all_of(tmp_path)["kept"] == 40
        assert all(times == 1 for times in asked(script).values())


def test_the_days_limit_ends_a_run(tmp_path: Path) -> None:
    limit = {"teacher__daily_limit": 0.2}
    with teacher() as script, Running(tmp_path, "", script.url, **SETTINGS, **PRICES, **limit) as gateway:
        done = generate(tmp_path, gateway.url)
        assert done.returncode == 0, done.stderr
        assert "spending limit" in " ".join(done.stdout.split())
        assert "The same command goes on" in " ".join(done.stdout.split())
        assert all_of(tmp_path)["settled"] < 40
        assert not msgspec.json.decode((set_folder(tmp_path) / "report.json").read_bytes())["dropped"]
    with Running(tmp_path, "", script.url, **SETTINGS) as gateway, teacher(port=script.server.port) as script:
        generate(tmp_path, gateway.url)
        assert all_of(tmp_path)["kept"] == 40


def test_ctrl_c(tmp_path: Path) -> None:
    with teacher(delay=0.1) as script, Running(tmp_path, "", script.url, **SETTINGS) as gateway:
        before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
        process = started(tmp_path, gateway.url, 200)
        signal.signal(signal.SIGINT, before)
        wait(lambda: len(script.asked) > 60)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 130, err
        assert "Traceback" not in err
        assert "questions" in out
        assert 0 < all_of(tmp_path)["settled"] < 200


def test_a_busy_teacher_is_waited_for(tmp_path: Path) -> None:
    busy = iter([Act(status=429, headers={"retry-after": "1"})] * 8)
    script = teacher(lambda question, answer: next(busy, None))
    with script, Running(tmp_path, "", script.url, **SETTINGS) as gateway:
        start = time.monotonic()
        done = generate(tmp_path, gateway.url)
        assert done.returncode == 0, done.stderr
        assert time.monotonic() - start > 1
        assert all_of(tmp_path)["kept"] == 40


def test_a_gateway_that_starts_anew_is_waited_for(tmp_path: Path) -> None:
    with teacher(delay=0.05) as script:
        with Running(tmp_path, "", script.url, **SETTINGS) as first:
            process = started(tmp_path, first.url, 120)
            wait(lambda: len(script.asked) > 40)
        second = Running(tmp_path, "", script.url, **SETTINGS, gateway__port=first.port)
        second.url = first.url
        with second:
            out, err = process.communicate(timeout=150)
        assert process.returncode == 0, err
        assert all_of(tmp_path)["kept"] == 120, out


def test_no_gateway(tmp_path: Path) -> None:
    done = generate(tmp_path, "http://127.0.0.1:9")
    assert done.returncode == 1
    assert "nightschool serve" in done.stderr


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--until", "soon"), "06:30"),
        (("--for-failures", "nowhere"), "no result of an examination"),
        (("--url", "ftp://x"), "http://"),
        (("--api-key-env", "NOT_SET_AT_ALL"), "NOT_SET_AT_ALL"),
    ],
)
def test_what_makes_no_sense_is_told_in_a_line(tmp_path: Path, flags: tuple[str, ...], said: str) -> None:
    done = nightschool("generate", "--repo", "click", "--dry-run", *flags, home=tmp_path)
    assert (done.returncode, done.stdout.count("Traceback") + done.stderr.count("Traceback")) == (1, 0)
    assert said in done.stderr
