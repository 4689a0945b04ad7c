"""`nightschool adapters`: out and in again through the command, and what it says to arguments that make no sense."""

from __future__ import annotations

import json
import os
from pathlib import Path

import mlx.core as mx
import pytest

from distill.mlx import lora
from distill.mlx.load import load
from tests.gateway.hub import tiny_files
from tests.gateway.running import nightschool

pytestmark = pytest.mark.gateways

NAME = "mine-0123456789ab"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with a model `mine` and an adapter of it, as a night leaves one."""
    base = tmp_path / "models" / "mine"
    base.mkdir(parents=True)
    tiny_files(base)
    adapter = tmp_path / "models" / "adapters" / NAME
    adapter.mkdir(parents=True)
    model, config = load(base).model, lora.config_of(rank=2, scale=2.0, layers=1)
    lora.wrap(model, config)
    lora.write(adapter, {n: mx.random.normal(t.shape) for n, t in lora.adapter_tensors(model).items()}, config)
    (adapter / "card.json").write_text(json.dumps({"base": "mine"}))
    return tmp_path


@pytest.mark.parametrize(
    ("form", "files"),
    [
        ("peft", {"adapter_config.json", "adapter_model.safetensors"}),
        ("gguf", {"adapter.gguf"}),
        ("fused", {"config.json", "model.safetensors", "model.safetensors.index.json", "nightschool.json"}),
    ],
)
def test_an_adapter_goes_out_by_its_name(home: Path, form: str, files: set[str]) -> None:
    done = nightschool("adapters", "export", NAME, "--to", form, "--out", "deep/out", home=home)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{home / 'deep' / 'out'} is ready\n"
    assert files <= {path.name for path in (home / "deep" / "out").iterdir()}
    assert [path.name for path in (home / "deep").iterdir()] == ["out"]
    umask = os.umask(0)
    os.umask(umask)
    assert (home / "deep" / "out").stat().st_mode & 0o777 == 0o777 & ~umask


@pytest.mark.parametrize("form", ["peft", "gguf"])
def test_and_comes_in_again(home: Path, form: str) -> None:
    nightschool("adapters", "export", NAME, "--to", form, "--out", "out", home=home)
    done = nightschool("adapters", "import", "out", "--base", "mine", home=home)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].endswith("`nightschool exam --adapter out` examines it")
    assert ("made for 'mine'" in done.stdout) == (form == "peft")
    taken = home / "models" / "adapters" / "out"
    assert lora.digest(taken) == lora.digest(home / "models" / "adapters" / NAME)


def test_dora_that_comes_in_is_told_to_be_fused(home: Path) -> None:
    adapter = home / "models" / "adapters" / NAME
    model, config = load(home / "models" / "mine").model, lora.config_of(rank=2, scale=2.0, layers=1, kind="dora")
    lora.wrap(model, config)
    lora.write(adapter, lora.adapter_tensors(model), config)
    done = nightschool("adapters", "import", str(adapter), "--name", "dora", home=home)
    assert done.returncode == 0, done.stderr
    assert "adapters export --to fused" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["export", "none", "--to", "peft", "--out", "out"], f"there are {NAME}"),
        (["export", "../adapters/" + NAME, "--to", "peft", "--out", "out"], "no adapter folder"),
        (["export", NAME, "--to", "peft", "--out", "models"], "is there already"),
        (["export", NAME, "--to", "peft", "--out", "out", "--base", "nowhere"], "no model folder 'nowhere'"),
        (["export", NAME, "--to", "peft", "--out", "out", "--base", "models"], "holds no config.json"),
        (["import", "nowhere"], "there is no folder or file nowhere"),
        (["import", f"models/adapters/{NAME}", "--base", "mine"], "is there already"),
        (["import", f"models/adapters/{NAME}", "--base", "mine", "--name", "../../out"], "no name for an adapter"),
        (["import", f"models/adapters/{NAME}", "--base", "mine", "--name", ".out"], "no name for an adapter"),
        (["import", "models/mine", "--base", "mine", "--name", "out"], "is not a PEFT adapter"),
        (["import", "models/mine/config.json", "--base", "mine", "--name", "out"], "cannot be read as a GGUF file"),
    ],
)
def test_what_makes_no_sense_is_told_in_one_line(home: Path, arguments: list[str], words: str) -> None:
    done = nightschool("adapters", *arguments, home=home)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert words in done.stderr
    assert {path.name for path in home.iterdir()} <= {"models", "data"}
    assert [path.name for path in (home / "models" / "adapters").iterdir()] == [NAME]


def test_an_unknown_form_is_a_wrong_option(home: Path) -> None:
    assert nightschool("adapters", "export", NAME, "--to", "onnx", "--out", "out", home=home).returncode == 2


@pytest.mark.parametrize("base", ["../../elsewhere", "/elsewhere", 5, None, "nowhere"])
def test_a_card_is_never_followed_to_another_folder(home: Path, base: object) -> None:
    (home / "models" / "adapters" / NAME / "card.json").write_text(json.dumps({"base": base}))
    done = nightschool("adapters", "export", NAME, "--to", "peft", "--out", "out", home=home)
    assert done.returncode == 1
    assert "name it with --base" in done.stderr
