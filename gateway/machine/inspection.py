"""What this machine is: system, processor, memory, disk, compiler, and what MLX finds on it.

Owns the looking. MLX is asked in a child process, so this one never imports it. Knows nothing of models.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec

from distill.digest import combined_digest
from distill.machine import machine_memory

_PATIENCE = 60.0  # seconds for MLX's first import on a cold disk


class Accelerator(msgspec.Struct, frozen=True):
    """What MLX computes on: `kind` is metal, cuda or cpu; "" where MLX does not work, and `error` says why.

    `working_set` is in bytes, 0 where the device names none; `blas` is "openblas" or "builtin".
    """

    kind: str = ""
    name: str = ""
    working_set: int = 0
    blas: str = ""
    mlx: str = ""
    mlx_lm: str = ""
    error: str = ""


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """Memory and disk in bytes; `disk_free` where the models lie. `wired_limit_mb` is macOS's own setting, 0: unset."""

    system: str
    release: str
    architecture: str
    processor: str
    cores: int
    memory: int
    disk_free: int
    compiler: str
    wired_limit_mb: int = 0
    accelerator: Accelerator = Accelerator()

    @property
    def float32(self) -> bool:
        """Whether models are dequantised to float32 at load: on a CPU they are."""
        return self.accelerator.kind not in ("metal", "cuda")

    @property
    def working_set(self) -> int:
        """The bytes that models may take: the device's own figure, else the machine's memory."""
        return self.accelerator.working_set or self.memory

    @property
    def id(self) -> str:
        """A name for machines alike in what decides speed; nothing in it names this one in particular."""
        kind = [self.system, self.architecture, self.processor, str(self.cores), str(self.memory >> 30)]
        return combined_digest([*kind, self.accelerator.kind, self.accelerator.name])[:16]


def inspect(models: Path) -> Machine:
    """Look at this machine; takes about a second, for MLX."""
    darwin = platform.system() == "Darwin"
    return Machine(
        system=platform.system(),
        release=platform.mac_ver()[0] if darwin else platform.release(),
        architecture=platform.machine(),
        processor=_processor(darwin=darwin),
        cores=os.cpu_count() or 1,
        memory=machine_memory(),
        disk_free=shutil.disk_usage(_existing(models)).free,
        compiler=shutil.which("g++") or shutil.which("clang++") or "",
        wired_limit_mb=int(_sysctl("iogpu.wired_limit_mb") or 0) if darwin else 0,
        accelerator=_accelerator(),
    )


def _accelerator() -> Accelerator:
    command = [sys.executable, "-m", "distill.mlx.accelerator"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE, check=False)
        return msgspec.json.decode(done.stdout.strip().splitlines()[-1], type=Accelerator)
    except subprocess.TimeoutExpired:
        return Accelerator(error=f"MLX did not answer within {_PATIENCE:.0f} seconds")
    except (msgspec.DecodeError, IndexError):
        last = done.stderr.strip().splitlines()[-1:] or [f"it ended with code {done.returncode}"]
        return Accelerator(error=last[0][:300])


def _processor(*, darwin: bool) -> str:
    if darwin:
        return _sysctl("machdep.cpu.brand_string")
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()


def _sysctl(name: str) -> str:
    try:
        done = subprocess.run(["sysctl", "-n", name], capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _existing(folder: Path) -> Path:
    """The folder itself or the nearest above it that is there."""
    return next(path for path in [folder, *folder.parents] if path.exists())
