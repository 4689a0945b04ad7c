"""`nightschool doctor`: what this machine has, what fits, which profile suits it, and what to install or set.

Owns the judgement and how it is told. Knows nothing of how a machine is looked at or a model measured.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Column, Table

from gateway.machine import measure
from gateway.machine.catalog import ROOM_TOKENS, Entry, entries, folders_on_disk
from gateway.machine.inspection import Machine, inspect
from gateway.machine.measure import Measured
from gateway.machine.proposal import fitting
from gateway.sections import EMBEDDED, PROFILES
from gateway.settings import Home

_SYSTEM_MEMORY = 5 << 30  # bytes that macOS and the agents themselves should keep when the wired limit is raised
_GB = 1e9


class Fit(msgspec.Struct, frozen=True):
    """One model of the catalogue on this machine: bytes needed in memory, bytes on disk (0: not there)."""

    needed: int
    on_disk: int
    fits: bool
    obtainable: bool  # on disk already, or the disk has room for it


class ProfileFit(msgspec.Struct, frozen=True):
    needed: int
    fits: bool


class Diagnosis(msgspec.Struct, frozen=True):
    """What `doctor --json` prints. Bytes throughout; `can_serve` decides the exit code."""

    machine: Machine
    working_set: int
    models: dict[str, Fit]
    profiles: dict[str, ProfileFit]
    proposed: str
    advice: list[str]
    can_serve: bool
    measured: list[Measured] = []  # on machines like this one


async def examine(
    home: Home, console: Console, *, as_json: bool = False, measured: Path | None = None, threads: int = 0
) -> bool:
    """Look, measure the model folder `measured` if one is given, and tell; whether a model can serve here."""
    machine = inspect(home.models)
    if measured is not None:
        named = measured.name if measured.parent == home.models else str(measured)
        measure.keep(await measure.measure(named, home, threads), machine.id, home.data)
    figures = [figure for key, figure in measure.read(home.data).items() if key.endswith(f":{machine.id}")]
    found = diagnose(machine, entries(), folders_on_disk(home.models))
    found = msgspec.structs.replace(found, measured=figures)
    if as_json:
        console.file.write(msgspec.json.encode(found).decode() + "\n")
    else:
        tell(found, console)
    return found.can_serve


def diagnose(machine: Machine, catalogue: dict[str, Entry], on_disk: dict[str, int]) -> Diagnosis:
    """Judge a machine: pure arithmetic over what was found."""
    models = {name: _fit(machine, entry, on_disk.get(name, 0)) for name, entry in catalogue.items()}
    profiles = {name: _profile_fit(name, machine, models) for name in PROFILES}
    works = bool(machine.accelerator.kind)
    return Diagnosis(
        machine=machine,
        working_set=machine.working_set,
        models=models,
        profiles=profiles,
        proposed=fitting(machine.memory, metal=machine.accelerator.kind == "metal"),
        advice=[*_missing(machine), *_memory_advice(machine, profiles), *_disk_advice(machine, catalogue, models)],
        can_serve=works and any(fit.fits and fit.obtainable for fit in models.values()),
    )


def _fit(machine: Machine, entry: Entry, on_disk: int) -> Fit:
    needed = entry.needed_bytes(float32=machine.float32)
    room = machine.disk_free > entry.gigabytes * _GB
    return Fit(needed, on_disk, needed <= machine.working_set, bool(on_disk) or room)


def _profile_fit(name: str, machine: Machine, models: dict[str, Fit]) -> ProfileFit:
    """`mac32` keeps one of its two in memory at a time, `mac32-pair` both; the others run one model here."""
    chosen = [values["model"] for values in PROFILES[name].values() if "model" in values]
    found = [models[key] for key in (EMBEDDED if model == "embedded" else model for model in chosen) if key in models]
    sizes = [fit.needed for fit in found] or [0]
    needed = sum(sizes) if name == "mac32-pair" else max(sizes)
    return ProfileFit(needed, needed <= machine.working_set)


def _missing(machine: Machine) -> list[str]:
    """What to install."""
    found = machine.accelerator
    if not found.kind:
        return [f"MLX does not work here, so no local model can run: {found.error}. Install nightschool again."]
    advice = []
    if machine.system == "Linux" and found.kind == "cpu":
        if found.blas != "openblas":
            advice.append(
                "OpenBLAS is missing: matrix products take about 75 times as long. Install the package "
                "cmeel-openblas into this Python environment."
            )
        if not machine.compiler:
            advice.append(
                "No C++ compiler is on the PATH: MLX cannot compile its fused kernels and runs them one by one. "
                "Install g++ (Debian: apt-get install g++)."
            )
    return advice


def _memory_advice(machine: Machine, profiles: dict[str, ProfileFit]) -> list[str]:
    """On a Mac, the setting that raises the working set, with a value, and what fits then."""
    if machine.accelerator.kind != "metal":
        return []
    limit = (machine.memory - _SYSTEM_MEMORY) >> 20
    gained = [n for n, fit in profiles.items() if not fit.fits and fit.needed <= limit << 20]
    if not gained or limit << 20 <= machine.working_set:
        return []
    return [
        f"macOS lets the GPU use {machine.working_set / _GB:.1f} GB. `sudo sysctl iogpu.wired_limit_mb={limit}` raises "
        f"that to {(limit << 20) / _GB:.1f} GB until the next restart; then these fit too: {', '.join(gained)}."
    ]


def _disk_advice(machine: Machine, catalogue: dict[str, Entry], models: dict[str, Fit]) -> list[str]:
    """Models that memory would hold but the disk does not."""
    short = {name: catalogue[name].gigabytes for name, fit in models.items() if fit.fits and not fit.obtainable}
    free = machine.disk_free / _GB
    return [
        f"The disk has {free:.1f} GB free, and {name} takes {size} GB: free some, or set NIGHTSCHOOL_HOME to another."
        for name, size in short.items()
    ]


def tell(found: Diagnosis, console: Console) -> None:
    """The diagnosis for a person."""
    console.print(_machine_table(found))
    console.print(_model_table(found))
    if found.measured:
        console.print(_measured_table(found.measured))
    state = "fits" if found.profiles[found.proposed].fits else "does not fit"
    console.print(f"Proposed profile: [bold]{found.proposed}[/] ({state}). Write it with: nightschool init")
    others = [f"{name} ({'fits' if fit.fits else 'too large'})" for name, fit in found.profiles.items()]
    console.print(f"All profiles: {', '.join(others)}")
    for line in found.advice:
        console.print(f"- {line}", markup=False, highlight=False, soft_wrap=True)
    if not found.can_serve:
        console.print("No local model can serve here.")


def _machine_table(found: Diagnosis) -> Table:
    machine, device = found.machine, found.machine.accelerator
    rows: dict[str, Any] = {
        "system": f"{machine.system} {machine.release}, {machine.architecture}",
        "processor": f"{machine.processor}, {machine.cores} cores",
        "memory": f"{machine.memory / _GB:.1f} GB, {found.working_set / _GB:.1f} GB of it for models",
        "computes on": f"{device.kind or 'nothing'} {device.name if device.kind != 'cpu' else ''}".strip(),
        "BLAS": device.blas or "-",
        "C++ compiler": machine.compiler or "none",
        "mlx, mlx-lm": f"{device.mlx or '-'}, {device.mlx_lm or '-'}",
        "free disk": f"{machine.disk_free / _GB:.1f} GB",
    }
    if machine.system == "Darwin":
        rows["iogpu.wired_limit_mb"] = machine.wired_limit_mb or "not set"
    table = Table("found", "", show_header=False, box=None)
    for name, value in rows.items():
        table.add_row(name, str(value))
    return table


def _model_table(found: Diagnosis) -> Table:
    precision = "float32" if found.machine.float32 else "as on disk"
    title = f"Memory with {ROOM_TOKENS // 1024}k tokens of context, weights {precision}"
    table = Table(Column("model", no_wrap=True), "needs", "fits", "on disk", title=title, title_justify="left")
    for name, fit in found.models.items():
        disk = f"{fit.on_disk / _GB:.1f} GB" if fit.on_disk else "no"
        table.add_row(name, f"{fit.needed / _GB:.1f} GB", "yes" if fit.fits else "no", disk)
    return table


def _measured_table(figures: list[Measured]) -> Table:
    table = Table("measured here", "load", "prompt", "answer")
    for figure in figures:
        prompt, answer = f"{figure.prefill_tokens_per_second:.0f}", f"{figure.decode_tokens_per_second:.1f}"
        table.add_row(figure.model, f"{figure.load_seconds:.1f} s", f"{prompt} tokens/s", f"{answer} tokens/s")
    return table


def tell_models(models: Path, console: Console) -> None:
    """`nightschool models list`: the catalogue, then what else is in the models folder."""
    on_disk, catalogue = folders_on_disk(models), entries()
    fits = diagnose(inspect(models), catalogue, on_disk).models
    table = Table(Column("model", no_wrap=True), "size", "licence", "on disk", "fits here")
    for name, entry in catalogue.items():
        disk = f"{on_disk[name] / _GB:.1f} GB" if name in on_disk else "no"
        table.add_row(name, f"{entry.gigabytes} GB", entry.licence, disk, "yes" if fits[name].fits else "no")
    for name in sorted(on_disk.keys() - catalogue.keys()):
        size = f"{on_disk[name] / _GB:.1f} GB"
        table.add_row(name, size, "not known", size, "not known")
    console.print(table)
    console.print("Fetch one with: nightschool models pull NAME")
