"""`nightschool train --dry-run` and `--sweep` as processes."""

from __future__ import annotations

import json
import re
import signal
import time
from pathlib import Path

import pytest

from .conftest import SETS, Command

pytestmark = pytest.mark.timeout(300)
FIXED = ("rank=4", "layers=1", "learning_rate=5e-3", "batch=4", "patience=0")
SWEPT = (*(word for field in FIXED for word in ("--set", field)), "--steps", "4", "--sweep")


def test_a_dry_run_tells_and_trains_nothing(command: Command) -> None:
    before = set(command.home.rglob("*"))
    done = command(*SETS, "--dry-run", "--watts", "3600000", "--price", "2")
    assert done.returncode == 0, done.stderr
    assert set(command.home.rglob("*")) - before == {command.home / "models"}
    told = dict(re.findall(r"^ (\w+(?: \w+)*)  +(.*?) *$", done.stdout, re.MULTILINE))
    assert told["steps"] == "18, 5 of them measured, 0 done already"
    found = re.match(r"(?:(\d+):)?(\d+):(\d\d);", told["time"])
    assert found
    taken = int(found[1] or 0) * 3600 + int(found[2]) * 60 + int(found[3])
    energy = float(told["energy"].split()[0])
    assert energy == pytest.approx(taken, abs=1)  # a kilowatt-hour a second
    assert float(told["cost"].split()[0]) == pytest.approx(2 * energy, abs=0.01)


def test_a_dry_run_refuses_what_does_not_fit_into_memory(command: Command) -> None:
    done = command(*SETS, "--dry-run", "--memory-gb", "0.1")
    assert done.returncode == 1
    assert "0.10 GB is allowed (--memory-gb): lower batch" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_sweep_goes_on_where_it_was_stopped_and_publishes_the_best(command: Command) -> None:
    arguments = (*SWEPT, "scale=2,0.1,1e30")
    with command.start(*arguments) as process:
        deadline = time.monotonic() + 100
        while not (finished := list((command.home / "models" / "runs").glob("*/result.json"))):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    assert process.returncode == 130
    at = {path: path.stat().st_mtime_ns for path in finished}
    done = command(*arguments)
    assert done.returncode == 0, done.stderr
    assert {path: path.stat().st_mtime_ns for path in finished} == at
    looks = {file.parent.name: json.loads(file.read_text())["best"] for file in command.home.rglob("result.json")}
    expected = sorted(looks, key=lambda name: (-looks[name]["exact"], looks[name]["loss"]))
    assert len(expected) == 2
    rows = [line.split("│") for line in done.stdout.splitlines() if line.startswith("│")]
    assert [row[-2].strip() for row in rows if row[-2].strip() in looks] == expected
    assert "Lower the learning rate" in done.stdout  # the third one failed, and is last
    assert rows[-1][1].strip() in ("", "1e+30")
    (adapter,) = command.adapters
    assert json.loads((adapter / "card.json").read_text())["run"] == expected[0]
    assert f"The best is {adapter.name}: --set scale=2" in done.stdout


def test_a_sweep_is_foretold_altogether(command: Command, tmp_path: Path) -> None:
    done = command(*SWEPT, "scale=2,1", "--dry-run", "--out", str(tmp_path / "sweep"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("What this run would take") == 2
    assert done.stdout.splitlines()[-1].startswith("2 runs: ")
    assert not (tmp_path / "sweep").exists()
