"""`nightschool generate` as a process, against a real gateway and a teacher on a socket."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from distill.school.ledger import Settled
from gateway.backends.scripted import Act
from tests.gateway.running import ROOT, Running, Script, environment, nightschool
from tests.gateway.school.teaching import asked, ledger_lines, set_folder, teacher

pytestmark = [pytest.mark.gateways, pytest.mark.timeout(300)]
SETTINGS = {"router__policy": "teacher", "teacher__attempts": 1, "teacher__failures": 0}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def good() -> Iterator[Script]:
    with teacher() as script:
        yield script


def generate(gateway: Running, *more: str, total: int = 40) -> subprocess.CompletedProcess[str]:
    return nightschool(*arguments(gateway, *more, total=total), home=gateway.home)


def arguments(gateway: Running, *more: str, total: int = 40) -> list[str]:
    return ["generate", "--repo", "click", "--total", str(total), "--url", gateway.url, *more]


def report(home: Path) -> dict[str, Any]:
    return msgspec.json.decode((set_folder(home) / "report.json").read_bytes())


def test_a_set_is_asked_checked_and_written(home: Path, good: Script) -> None:
    with Running(home, "", good.url, **SETTINGS) as gateway:
        done = generate(gateway, total=60)
        assert done.returncode == 0, done.stderr
        told = report(home)
        assert told["all"]["kept"] == told["all"]["questions"] == 60
        assert set(told["categories"]) == {"search", "analysis", "multi_step", "negative", "edge"}
        assert told["categories"]["negative"]["needless_tools"]["hits"] == 0
        examples = [
            msgspec.json.decode(line) for line in (set_folder(home) / "examples.jsonl").read_bytes().splitlines()
        ]
        assert len(examples) == 60
        assert all(example.keys() == {"query", "reasoning", "tool_calls", "answer"} for example in examples)
        again = generate(gateway, total=60)
        assert "60 are settled" in " ".join(again.stdout.split())
        assert all(times == 1 for times in asked(good).values())


def test_killed_at_any_point_it_goes_on(home: Path) -> None:
    """The same set, nothing that was settled asked again, and nothing missing."""
    chance = random.Random(7)
    with teacher(delay=0.02) as script, Running(home, "", script.url, **SETTINGS) as gateway:
        settled: dict[str, int] = {}
        for _ in range(3):
            process = start(gateway)
            until = len(script.asked) + chance.randint(5, 40)
            wait(lambda until=until: len(script.asked) >= until)  # type: ignore[misc]
            process.send_signal(signal.SIGKILL)
            process.wait()
            time.sleep(0.3)  # what was under way is recorded
            texts = texts_by_id(home)
            turns = asked(script)
            for line in ledger_lines(home):
                if isinstance(line, Settled):
                    settled[texts[line.question]] = sum(
                        n for (text, _), n in turns.items() if text == texts[line.question]
                    )
        questions = (set_folder(home) / "questions.jsonl").read_bytes()
        done = generate(gateway, total=120)
        assert done.returncode == 0, done.stderr
        assert (set_folder(home) / "questions.jsonl").read_bytes() == questions
        assert report(home)["all"]["kept"] == 120
        turns = asked(script)
        assert len(settled) > 15
        assert {text: sum(n for (other, _), n in turns.items() if other == text) for text in settled} == settled
        assert {text for text, _ in turns} == set(texts_by_id(home).values())
        twice = sum(times - 1 for times in turns.values())
        assert twice <= 3 * 8  # what was under way at a kill, and nothing else


def start(gateway: Running) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "gateway.cli", *arguments(gateway, "--concurrency", "8", total=120)]
    quiet = subprocess.DEVNULL
    return subprocess.Popen(command, env=environment(gateway.home), cwd=ROOT, stdout=quiet, stderr=quiet)


def wait(until: Any, seconds: float = 90.0) -> None:
    end = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < end
        time.sleep(0.01)


def texts_by_id(home: Path) -> dict[str, str]:
    lines = (set_folder(home) / "questions.jsonl").read_bytes().splitlines()
    return {one["id"]: one["text"] for one in map(msgspec.json.decode, lines)}


def test_an_endpoint_that_is_down_ends_the_run_and_costs_no_question(home: Path) -> None:
    with (
        teacher(lambda question, answer: Act(status=401)) as script,
        Running(home, "", script.url, **SETTINGS) as gateway,
    ):
        done = generate(gateway)
        assert done.returncode == 1
        assert report(home)["all"]["settled"] == 0


def test_reserved_missing_and_equal_names_are_refused(home: Path) -> None:
    (home / "a" / "thing").mkdir(parents=True)
    (home / "b" / "thing").mkdir(parents=True)
    for repositories, said in (
        (["msgspec"], "examinations"),
        (["no_such_package"], "no installed package"),
        (["./nowhere"], "no folder"),
        ([str(home / "a" / "thing"), str(home / "b" / "thing")], "both be called thing"),
        ([str(home / "a" / "thing")], "no text files"),
    ):
        flags = [part for name in repositories for part in ("--repo", name)]
        done = nightschool("generate", *flags, "--dry-run", home=home)
        assert done.returncode == 1
        assert said in done.stderr
