"""Adapters out and in: only what fits its base, only to a free place, and nothing half-made is left behind."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import typing
from collections.abc import Callable
from pathlib import Path

import mlx.core as mx
import pytest

from distill.errors import AdapterError, ModelError
from distill.mlx import lora
from distill.mlx.adapters.exchange import FORMS, export, take
from gateway.commands.adapters import Form
from tests.distill.mlx.adapters.conftest import logits, make_adapter

pytestmark = pytest.mark.school

ROOT = Path(__file__).resolve().parents[4]


@pytest.fixture
def adapter(bases: dict[str, Path], tmp_path: Path) -> Path:
    return make_adapter(bases["llama"], tmp_path / "adapter")


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_command_offers_the_forms_there_are() -> None:
    assert set(typing.get_args(Form)) == set(FORMS)


@pytest.mark.parametrize("form", FORMS)
def test_a_place_that_is_taken_is_left_alone(bases: dict[str, Path], adapter: Path, tmp_path: Path, form: str) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("out", "link"):
        with pytest.raises(AdapterError, match="is there already"):
            export(adapter, bases["llama"], form, tmp_path / name)
        with pytest.raises(AdapterError, match="is there already"):
            take(adapter, bases["llama"], tmp_path / name)
    assert left(tmp_path) == ["adapter", "link", "out"]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "changes", [{"num_hidden_layers": 2}, {"hidden_size": 64}, {"num_key_value_heads": 4}], ids=str
)
def test_a_foreign_base_is_refused(
    make_base: Callable[..., Path], adapter: Path, tmp_path: Path, form: str, changes: dict[str, int]
) -> None:
    if "num_hidden_layers" in changes:
        adapter = make_adapter(make_base("llama", num_hidden_layers=4), tmp_path / "longer", layers=4)
    with pytest.raises(AdapterError, match=r"another base|has shape"):
        export(adapter, make_base("llama", **changes), form, tmp_path / "out")
    assert "out" not in left(tmp_path)


@pytest.mark.parametrize("form", FORMS)
def test_numbers_that_are_none_do_not_leave(bases: dict[str, Path], adapter: Path, tmp_path: Path, form: str) -> None:
    weights = lora.read(adapter)
    first = min(weights.tensors)
    lora.write(adapter, {**weights.tensors, first: weights.tensors[first] * mx.nan}, weights.config)
    with pytest.raises(AdapterError, match="NaN"):
        export(adapter, bases["llama"], form, tmp_path / "out")
    assert left(tmp_path) == ["adapter"]


@pytest.mark.parametrize("form", FORMS)
def test_a_folder_that_cannot_be_written_to(bases: dict[str, Path], adapter: Path, tmp_path: Path, form: str) -> None:
    """The place's parent is a file, as root may write into any folder."""
    (tmp_path / "file").write_text("")
    with pytest.raises((AdapterError, OSError)):
        export(adapter, bases["llama"], form, tmp_path / "file" / "out")
    assert left(tmp_path) == ["adapter", "file"]


_FULL = """\
import resource, sys
from pathlib import Path
from distill.mlx import blas
blas.prepare(1)
from distill.errors import AdapterError
from distill.mlx.adapters.exchange import export, take
adapter, base, out, form = sys.argv[1:]
resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))
try:
    if form == "import":
        take(Path(adapter), Path(base), Path(out))
    else:
        export(Path(adapter), Path(base), form, Path(out))
except AdapterError as error:
    sys.exit(f"refused: {error}")
"""


@pytest.mark.parametrize("form", [*FORMS, "import"])
def test_a_disk_that_fills_leaves_nothing(bases: dict[str, Path], adapter: Path, tmp_path: Path, form: str) -> None:
    """Files may not grow over 9 000 bytes, in a process of its own."""
    command = [sys.executable, "-c", _FULL, str(adapter), str(bases["llama"]), str(tmp_path / "out"), form]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("refused: ")
    assert left(tmp_path) == ["adapter"]


def test_a_scale_that_is_no_number_does_not_leave(bases: dict[str, Path], adapter: Path, tmp_path: Path) -> None:
    text = (adapter / "adapter_config.json").read_text()
    (adapter / "adapter_config.json").write_text(text.replace('"scale": 2.5', '"scale": NaN'))
    with pytest.raises(AdapterError, match="scale is nan"):
        export(adapter, bases["llama"], "peft", tmp_path / "out")


def test_a_config_longer_than_any_is_not_read(bases: dict[str, Path], adapter: Path, tmp_path: Path) -> None:
    with (adapter / "adapter_config.json").open("ab") as file:
        file.truncate(1 << 33)
    with pytest.raises(AdapterError, match="no config is longer"):
        take(adapter, bases["llama"], tmp_path / "out")


@pytest.mark.parametrize("form", ["peft", "gguf"])
def test_families_whose_names_are_not_known_are_only_fused(
    make_base: Callable[..., Path], tmp_path: Path, form: str
) -> None:
    base = make_base("olmo2")
    adapter = make_adapter(base, tmp_path / "adapter")
    with pytest.raises(AdapterError, match="Export a fused model"):
        export(adapter, base, form, tmp_path / "out")
    assert left(tmp_path) == ["adapter"]
    assert (logits(export(adapter, base, "fused", tmp_path / "out")) - logits(base, adapter)).max() < 1e-4


@pytest.mark.parametrize("form", ["peft", "gguf"])
def test_layers_outside_of_blocks_are_not_exchanged(make_base: Callable[..., Path], tmp_path: Path, form: str) -> None:
    base = make_base("llama", tie_word_embeddings=False)
    adapter = make_adapter(base, tmp_path / "adapter", keys=["lm_head"])
    with pytest.raises(AdapterError, match="lm_head"):
        export(adapter, base, form, tmp_path / "out")
    assert left(tmp_path) == ["adapter"]


def test_a_base_that_is_none(adapter: Path, tmp_path: Path) -> None:
    for content in (None, "{", "[]", '{"model_type": "../../x"}'):
        folder = tmp_path / "base"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        if content is not None:
            (folder / "config.json").write_text(content)
        with pytest.raises(ModelError):
            export(adapter, folder, "peft", tmp_path / "out")
    assert left(tmp_path) == ["adapter", "base"]


def test_an_unknown_form(bases: dict[str, Path], adapter: Path, tmp_path: Path) -> None:
    with pytest.raises(AdapterError, match="peft, gguf, fused"):
        export(adapter, bases["llama"], "onnx", tmp_path / "out")


def test_mlx_lms_own_form_is_taken_as_it_is(bases: dict[str, Path], adapter: Path, tmp_path: Path) -> None:
    (adapter / "card.json").write_text('{"base": "../../../etc"}')
    (adapter / "evil.py").write_text("print('never')")
    taken = take(adapter, bases["llama"], tmp_path / "models" / "taken")
    assert left(taken) == ["adapter_config.json", "adapters.safetensors", "card.json"]
    assert lora.digest(taken) == lora.digest(adapter)
    card = json.loads((taken / "card.json").read_text())
    assert (card["base"], card["taken_from"], card["name"]) == ("tiny-llama", "mlx-lm", "taken")


@pytest.mark.parametrize("fine_tune_type", ["full", "qlora", 5, None])
def test_other_kinds_of_training_are_no_adapters(
    bases: dict[str, Path], adapter: Path, tmp_path: Path, fine_tune_type: object
) -> None:
    config = json.loads((adapter / "adapter_config.json").read_text())
    (adapter / "adapter_config.json").write_text(json.dumps({**config, "fine_tune_type": fine_tune_type}))
    with pytest.raises(AdapterError, match="neither LoRA nor DoRA"):
        take(adapter, bases["llama"], tmp_path / "taken")


def test_folders_and_pipes_in_the_place_of_files(bases: dict[str, Path], tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "adapter_config.json").mkdir()
    os.mkfifo(source / "adapter_model.safetensors")
    with pytest.raises(AdapterError, match="holds no"):
        take(source, bases["llama"], tmp_path / "taken")
    assert left(tmp_path) == ["source"]
