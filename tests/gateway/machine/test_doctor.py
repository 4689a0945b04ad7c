"""`nightschool doctor`: its arithmetic on machines of several kinds, and the command on this one."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rich.console import Console

from gateway.machine.catalog import entries
from gateway.machine.doctor import Diagnosis, diagnose, tell
from gateway.machine.inspection import Accelerator, Machine
from gateway.machine.measure import Measured, keep, read
from gateway.settings import load
from tests.gateway.running import nightschool

METAL = Accelerator("metal", "Apple M2 Pro", 22_906_503_168, "builtin", "0.32.4", "0.32.2")
MAC = Machine(
    system="Darwin",
    release="26.1",
    architecture="arm64",
    processor="Apple M2 Pro",
    cores=10,
    memory=32 << 30,
    disk_free=500 * 10**9,
    compiler="/usr/bin/clang++",
    accelerator=METAL,
)
BOX = Machine(
    system="Linux",
    release="6.1",
    architecture="x86_64",
    processor="AMD EPYC",
    cores=2,
    memory=24 << 30,
    disk_free=80 * 10**9,
    compiler="/usr/bin/g++",
    accelerator=Accelerator("cpu", "AMD EPYC", 0, "openblas", "0.32.4", "0.32.2"),
)


def judged(machine: Machine, on_disk: dict[str, int] | None = None, **changed: Any) -> Diagnosis:
    return diagnose(msgspec.structs.replace(machine, **changed), entries(), on_disk or {})


def test_a_mac_with_32_gb_runs_one_model_at_a_time() -> None:
    found = judged(MAC)
    assert found.proposed == "mac32"
    fitting = {name for name, fit in found.profiles.items() if fit.fits}
    assert fitting == {"embedded", "mac32", "remote"}
    assert found.models["qwen2.5-coder-7b"].needed == 4_300_000_000 + 57_344 * 16_384 + 1_000_000_000
    [advice] = found.advice
    assert "iogpu.wired_limit_mb=27648" in advice
    assert advice.endswith("these fit too: mac32-pair.")


def test_a_raised_limit_is_believed_and_not_advised_again() -> None:
    raised = msgspec.structs.replace(METAL, working_set=27648 << 20)
    found = judged(MAC, accelerator=raised, wired_limit_mb=27648)
    assert found.profiles["mac32-pair"].fits
    assert not found.advice


def test_a_small_mac_is_told_what_fits_it() -> None:
    small = msgspec.structs.replace(METAL, working_set=11_453_251_584)
    found = judged(MAC, memory=16 << 30, accelerator=small)
    assert found.proposed == "embedded"
    assert found.profiles["remote"].fits
    assert not found.models["qwen3-30b-a3b"].fits


def test_on_a_cpu_weights_count_as_float32() -> None:
    found = judged(BOX)
    assert found.models["smollm2-135m"].needed == 540_000_000 + 2 * 30 * 3 * 64 * 8192 * 4 + 1_000_000_000
    assert not found.models["qwen2.5-coder-7b"].fits
    assert (found.proposed, found.can_serve, found.advice) == ("embedded", True, [])


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"compiler": ""}, "Install g++"),
        ({"accelerator": Accelerator("cpu", "", 0, "builtin")}, "cmeel-openblas"),
        ({"accelerator": Accelerator(error="no libmlx.so")}, "no libmlx.so"),
        ({"disk_free": 10**9}, "qwen2.5-coder-3b takes 1.8 GB"),
    ],
)
def test_what_is_missing_is_named(changed: dict[str, Any], words: str) -> None:
    assert any(words in line for line in judged(BOX, **changed).advice)


def test_nothing_serves_without_mlx_memory_or_disk() -> None:
    assert not judged(BOX, accelerator=Accelerator(error="none")).can_serve
    assert not judged(BOX, memory=1 << 30).can_serve
    assert not judged(BOX, disk_free=10**6).can_serve
    assert judged(BOX, {"smollm2-135m": 10**8}, disk_free=10**6).can_serve


@pytest.mark.parametrize("machine", [MAC, BOX, msgspec.structs.replace(BOX, accelerator=Accelerator(error="[x] no"))])
def test_a_person_is_told_everything(machine: Machine) -> None:
    out = io.StringIO()
    found = judged(machine, {"smollm2-135m": 10**8})
    tell(found, Console(file=out, width=100))
    for words in (machine.processor, machine.release, "0.1 GB", f"Proposed profile: {found.proposed}", *found.advice):
        assert words in out.getvalue()


def test_the_command_speaks_json(tmp_path: Path) -> None:
    done = nightschool("doctor", "--json", home=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["machine"]["accelerator"]["kind"] in ("cpu", "metal", "cuda")
    assert found["models"].keys() == entries().keys()
    assert not list(tmp_path.iterdir())  # looking changes nothing


def test_the_command_fails_where_mlx_does(tmp_path: Path) -> None:
    """A module of that name in front of the real one does not import, as a broken installation's would not."""
    (tmp_path / "mlx").mkdir()
    (tmp_path / "mlx" / "__init__.py").write_text("raise ImportError('libmlx.so: cannot open shared object file')")
    root = Path(__file__).resolve().parents[3]
    done = nightschool("doctor", home=tmp_path, PYTHONPATH=f"{tmp_path}:{root}")
    assert done.returncode == 1
    assert "cannot open shared object file" in done.stdout
    assert "No local model can serve here." in done.stdout


def test_measured_figures_are_kept_by_model_and_machine(tmp_path: Path) -> None:
    first = Measured("a", "d1", 1.0, 2.0, 3.0, 400, 5)
    keep(first, "m1", tmp_path)
    keep(msgspec.structs.replace(first, digest="d2"), "m1", tmp_path)
    newer = msgspec.structs.replace(first, load_seconds=0.5)
    keep(newer, "m1", tmp_path)
    assert read(tmp_path).keys() == {"d1:m1", "d2:m1"}
    assert read(tmp_path)["d1:m1"] == newer
    assert [path.name for path in tmp_path.iterdir()] == ["measured.json"]
    (tmp_path / "measured.json").write_text("{")
    assert read(tmp_path) == {}


@pytest.mark.model
def test_a_measurement_takes_a_real_engine(tmp_path: Path, student_folder: Path) -> None:
    done = nightschool("doctor", "--json", "--measure", "--model", str(student_folder), home=tmp_path)
    assert done.returncode == 0, done.stderr
    [figures] = json.loads(done.stdout)["measured"]
    assert figures["model"] == student_folder.name
    assert 0 < figures["load_seconds"] < 60
    assert figures["prefill_tokens_per_second"] > figures["decode_tokens_per_second"] > 0
    assert figures["prompt_tokens"] > 300
    [key] = read(tmp_path / "data")
    assert key.startswith(figures["digest"])


def test_a_model_that_is_not_there_cannot_be_measured(tmp_path: Path) -> None:
    done = nightschool("doctor", "--measure", "--model", "qwen2.5-coder-7b", home=tmp_path)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)


@pytest.mark.parametrize(("profile", "together"), [("mac32", False), ("mac32-pair", True)])
def test_a_macs_profile_counts_its_models_as_the_catalogue_does(profile: str, together: bool) -> None:
    chosen, catalogue = load(profile=profile, environment={}), entries()
    backends = (chosen.student, chosen.teacher)
    for backend in backends:
        needed = catalogue[backend.model].needed_bytes(float32=False)
        assert needed <= backend.memory_bytes <= 1.02 * needed
    assert (sum(backend.memory_bytes for backend in backends) <= chosen.gateway.memory_bytes) == together
