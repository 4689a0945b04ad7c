"""What `nightschool train` refuses: one line that says what is wrong and what to do, before anything is trained."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from distill.errors import DatasetError
from distill.train.order import write_order
from gateway.errors import SettingsError, StartError
from gateway.sections import Settings
from gateway.settings import Home
from gateway.training.ordering import Wish, order_of, orders_of
from gateway.training.running import place_of

from .conftest import SETS, Command, Done

pytestmark = pytest.mark.timeout(200)


def wished(command: Command, **fields: Any) -> None:
    """What is done before a trainer is started."""
    wish = Wish(**{"base": str(command.base), **fields})
    home = Home(command.home / "data", command.home / "models")
    (orders_of if wish.sweep else order_of)(wish, Settings(), home)


def refused(done: Done, *words: str) -> None:
    assert done.returncode == 1, done.stdout + done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert done.stderr.startswith("nightschool: ")
    for word in words:
        assert word in done.stderr


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"data": "nowhere"}, "there is no dataset 'nowhere'.*train.jsonl"),
        ({"data": "."}, "no train.jsonl in"),
        ({"base": ""}, "say --base, or set student.model"),
        ({"base": "nobody"}, "no model folder 'nobody'"),
        ({"base": "embedded"}, "nightschool models pull smollm2-135m"),
        ({"preset": "wild"}, "no preset 'wild': default, plan"),
        ({"changes": ("rank",)}, "--set wants field=value, not 'rank'"),
        ({"changes": ("rnk=8",)}, r"no field 'rnk' \(did you mean 'rank'"),
        ({"changes": ("rank=8", "rank=9")}, "--set names rank twice"),
        ({"changes": ("rank=eight",)}, "makes no sense.*rank"),
        ({"changes": ("rank=0",)}, "rank is 0, and at least 1"),
        ({"changes": ("learning_rate=-1",)}, "learning_rate is -1.0, and more than 0"),
        ({"changes": ("learning_rate=NaN",)}, "makes no sense.*learning_rate"),
        ({"changes": ("soft=0.5",)}, "say --teacher, or set soft to 0"),
        ({"changes": ("soft=0.5",), "teacher": "nobody"}, "no model folder 'nobody'"),
        ({"warm": "nothing"}, "no adapter 'nothing'"),
        ({"sweep": ("rank",)}, "--sweep wants field=value"),
        ({"sweep": ("rank=4,8",), "changes": ("rank=4",)}, "rank is in --set and in --sweep"),
        ({"sweep": ("rank=4,wide",)}, "makes no sense.*rank"),
        ({"sweep": ("seed=" + ",".join(map(str, range(65))),)}, "65 runs, and 64 are the most"),
    ],
)
def test_what_makes_no_sense(command: Command, fields: dict[str, Any], words: str) -> None:
    with pytest.raises((SettingsError, DatasetError), match=words):
        wished(command, **fields)


def test_without_a_dataset(command: Command) -> None:
    shutil.rmtree(command.home / "data")
    refused(command(), "there is no dataset", "--data FOLDER")


def folder_of(tmp_path: Path, lines: Sequence[dict[str, Any]]) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "train.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def test_a_sweep_without_anything_kept_apart(command: Command, tmp_path: Path) -> None:
    folder = folder_of(tmp_path, [{"prompt": "?", "completion": "!"}])
    with pytest.raises(SettingsError, match=r"has no valid\.jsonl"):
        wished(command, data=str(folder), sweep=("rank=4,8",))


def test_a_dataset_of_one_side(command: Command, tmp_path: Path) -> None:
    tools = [{"type": "function", "function": {"name": "read", "description": "", "parameters": {"type": "object"}}}]
    line = {"messages": [{"role": "user", "content": "?"}, {"role": "assistant", "content": "No."}], "tools": tools}
    folder = folder_of(tmp_path, [line] * 4)
    refused(command("--data", str(folder)), "one-sided", "Add conversations with tool calls")
    refused(command("--data", str(folder), "--dry-run"), "one-sided")


def test_a_dataset_where_all_are_too_long(command: Command) -> None:
    refused(command("--set", "max_tokens=10"), "none of the 33 examples", "raise max_tokens")


def test_a_folder_that_holds_something_else(trained: tuple[Command, Done], tmp_path: Path) -> None:
    command, _ = trained
    home = Home(command.home / "data", command.home / "models")
    order = order_of(Wish(base=str(command.base)), Settings(), home)
    write_order(order, tmp_path / "run")
    assert place_of(msgspec.structs.replace(order, dataset="elsewhere"), tmp_path / "run") == tmp_path / "run"
    for field in ("base_digest", "dataset_digest"):  # another base, other data, under the same names
        with pytest.raises(StartError, match=r"another run.*choose another --out"):
            place_of(msgspec.structs.replace(order, **{field: "other"}), tmp_path / "run")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(StartError, match="not empty and holds no run: choose another --out"):
        place_of(order, tmp_path / "mine")


def test_an_adapter_that_does_not_fit(trained: tuple[Command, Done], tmp_path: Path) -> None:
    command, _ = trained
    adapter = command.adapters[0]
    with pytest.raises(SettingsError, match="has rank 4, and the run would have 8: leave it out"):
        wished(command, warm=adapter.name, changes=("rank=8",))
    other = tmp_path / "other"
    shutil.copytree(command.base, other)
    with pytest.raises(SettingsError, match=f"made for the base {command.base.name}, not for other"):
        wished(command, warm=adapter.name, base=str(other))
    bare = tmp_path / "bare"
    shutil.copytree(adapter, bare)
    (bare / "card.json").unlink()
    config = json.loads((bare / "adapter_config.json").read_text())
    config["lora_parameters"]["rank"] = 8  # not what its tensors have
    (bare / "adapter_config.json").write_text(json.dumps(config))
    out = ("--out", str(tmp_path / "run"))  # the home's own runs are asked for by others
    refused(command("--from", str(bare), *out), "other layers or another rank", "start from the base")


def test_a_run_that_another_is_at_and_a_trainer_that_the_system_kills(command: Command) -> None:
    arguments = (*SETS, "--steps", "2000")
    with command.start(*arguments) as process:
        command.wait_for(1, process)
        refused(command(*arguments), "is being trained by another process")
        (trainer,) = psutil.Process(process.pid).children()
        trainer.kill()
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 1
    assert len(errors.strip().splitlines()) == 1
    assert "memory ran out: close other programs, or lower batch, max_tokens or layers" in errors
