"""What a figure was measured with: the machine, how busy it was, and the versions that matter."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

_PACKAGES = (
    "mlx",
    "mlx-lm",
    "cmeel-openblas",
    "llguidance",
    "tokenizers",
    "uvicorn",
    "httptools",
    "litestar",
    "aiohttp",
    "msgspec",
    "numpy",
    "rensa",
    "nightschool",
)


def machine() -> dict[str, Any]:
    """`load_average` is that of the last minute: above the bench's own share, somebody else was computing too."""
    return {
        "system": f"{platform.system()} {platform.release()}",
        "processor": _processor(),
        "cores": os.cpu_count(),
        "load_average": round(os.getloadavg()[0], 2),
    }


def versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def resident(pid: int) -> int:
    """Bytes of memory a process holds now; 0 when it is gone."""
    done = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return int(done.stdout.strip() or 0) * 1024


def family(pid: int) -> int:
    """Bytes of memory a process and all below it hold now."""
    done = subprocess.run(["ps", "-axo", "pid=,ppid=,rss="], capture_output=True, text=True, check=True)
    rows = [[int(number) for number in line.split()] for line in done.stdout.splitlines()]
    wanted, size = {pid}, 0
    for own, parent, kilobytes in sorted(
        rows
    ):  # children have higher numbers, but for a wrap that no bench lives to see
        if own in wanted or parent in wanted:
            wanted.add(own)
            size += kilobytes * 1024
    return size


def _processor() -> str:
    if platform.system() == "Darwin":
        command = ["sysctl", "-n", "machdep.cpu.brand_string"]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
