"""`nightschool train` as a process: a run to its end, stopped and gone on with, in a log and in a terminal."""

from __future__ import annotations

import json
import os
import pty
import shutil
import signal
import subprocess
from pathlib import Path

import psutil
import pytest

from gateway.sections import Settings
from gateway.settings import Home
from gateway.training.ordering import Wish, order_of

from .conftest import ROOT, SETS, Command, Done, result, told

pytestmark = pytest.mark.timeout(200)


def test_a_run_ends_with_an_adapter_and_its_card(trained: tuple[Command, Done]) -> None:
    command, done = trained
    run, adapter = command.runs[0], command.adapters[0]
    found = result(run)
    assert found["last_loss"] < found["first_loss"]
    assert adapter.name == f"{command.base.name}-{found['adapter_digest'][:12]}"
    card = json.loads((adapter / "card.json").read_text())
    assert (card["run"], card["verdict"], card["recipe"]["rank"]) == (run.name, None, 4)
    (dataset,) = (command.home / "data" / "datasets").glob("*/manifest.json")
    assert card["dataset"] == dataset.parent.name
    assert f"Trained: {adapter.name}" in done.stdout
    report = (run / "report.html").read_text()
    assert report.count("<polyline") == 3  # loss, rate, looks
    assert dataset.parent.name in report


def test_in_a_log_there_is_a_line_now_and_then(trained: tuple[Command, Done]) -> None:
    command, done = trained
    steps = told(command.runs[0])
    lines = [line for line in done.stdout.splitlines() if line.startswith("step ")]
    assert lines[0].startswith(f"step 1/{len(steps)}, loss {steps[0]['loss']:.3f}")
    assert lines[-1].startswith(f"step {len(steps)}/{len(steps)}")
    assert len(lines) < len(steps)
    assert "of the turns kept apart exact" in lines[-1]
    assert "learning_rate × scale is 0.01" in done.stdout.splitlines()[0]


def test_a_finished_run_is_not_run_again(trained: tuple[Command, Done]) -> None:
    command, _ = trained
    metrics = command.runs[0] / "metrics.jsonl"
    at = metrics.stat().st_mtime_ns
    for arguments, words in (((), "nothing is trained"), (("--dry-run",), "nothing would be trained")):
        again = command(*SETS, *arguments)
        assert again.returncode == 0, again.stderr
        assert words in again.stdout
    assert metrics.stat().st_mtime_ns == at


def test_stopped_by_hand_it_goes_on_to_the_same_adapter(command: Command, trained: tuple[Command, Done]) -> None:
    whole, _ = trained
    with command.start(*SETS) as process:
        command.wait_for(7, process)
        (trainer,) = psutil.Process(process.pid).children()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert errors.splitlines()[-1] == "stopped; the same command goes on from here"
    assert not trainer.is_running()
    (run,) = command.runs
    assert not (run / "result.json").exists()
    assert command.adapters == []
    done = command(*SETS)
    assert done.returncode == 0, done.stderr
    assert "goes on from the last checkpoint" in done.stdout
    assert command.runs == [run]
    assert result(run)["adapter_digest"] == result(whole.runs[0])["adapter_digest"]
    losses = [[step["loss"] for step in told(one.runs[0])] for one in (whole, command)]
    assert losses[0] == losses[1]


def test_in_a_terminal_it_shows_how_far_it_is(command: Command) -> None:
    ours, theirs = pty.openpty()
    environment = {**command.environment(), "TERM": "xterm-256color"}
    process = subprocess.Popen(
        command.line(*SETS, "--steps", "8"), cwd=ROOT, env=environment, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    seen = b""
    while True:
        try:
            seen += os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
    os.close(ours)
    text = seen.decode()
    assert process.wait(10) == 0, text
    assert "loading base and dataset" in text
    for part in ("8/8 steps", " left", "examples/s", "tokens/s", "▁", "of the turns kept apart exact"):
        assert part in text
    assert "step 1/" not in text  # that is for logs


def test_a_data_folder_of_mlx_lm_is_learnt_from_what_fits(command: Command, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    lines = [{"prompt": f"Say {number}.", "completion": f"{number}"} for number in range(8)]
    lines.append({"prompt": "Say more.", "completion": "more " * 100})
    (folder / "train.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    arguments = ("--data", str(folder), "--set", "max_tokens=200", "--steps", "2", "--out", str(tmp_path / "run"))
    done = command(*SETS, *arguments)
    assert done.returncode == 0, done.stderr
    found = result(tmp_path / "run")
    assert (found["examples"], found["too_long"], found["steps"]) == (8, 1, 2)
    notice = "1 of 9 conversations are longer than 200 tokens and are left out: --set max_tokens=… takes them in"
    assert done.stdout.index(notice) < done.stdout.index("step 1/2")
    assert command.runs == []
    assert [adapter.name for adapter in command.adapters] == [f"{command.base.name}-{found['adapter_digest'][:12]}"]


def test_a_run_starts_from_an_adapter_with_what_that_was_made_with(
    trained: tuple[Command, Done], tmp_path: Path
) -> None:
    command, _ = trained
    more = ("--steps", "1", "--set", "learning_rate=1e-3", "--set", "batch=4", "--out", str(tmp_path / "run"))
    done = command("--from", command.adapters[0].name, *more)
    assert done.returncode == 0, done.stderr
    recipe = json.loads((tmp_path / "run" / "run.json").read_text())["recipe"]
    assert (recipe["rank"], recipe["layers"]) == (4, 2)
    assert result(tmp_path / "run")["first_loss"] < result(command.runs[0])["first_loss"] - 0.3


def test_a_base_is_found_by_its_name_under_models(command: Command) -> None:
    """What `models convert` makes is named so."""
    shutil.copytree(command.base, command.home / "models" / "mine")
    order = order_of(Wish(base="mine"), Settings(), Home(command.home / "data", command.home / "models"))
    assert Path(order.base) == command.home / "models" / "mine"
