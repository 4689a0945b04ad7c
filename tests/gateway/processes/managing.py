"""Programs in the places of the service managers, which keep a record of how they were called."""

from __future__ import annotations

import os
from pathlib import Path


def put_managers(folder: Path, code: int = 0) -> Path:
    """launchctl and systemctl that keep what they were told in `calls` and end with `code`; the folder for the PATH."""
    folder.mkdir(exist_ok=True)
    for name in ("launchctl", "systemctl"):
        put_program(folder / name, f'echo "{name} $*" >> {folder}/calls\necho no bus >&2\nexit {code}')
    return folder


def put_program(path: Path, script: str) -> Path:
    """A program that runs a shell's lines."""
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def calls(folder: Path) -> list[str]:
    """What the managers were told since the last look."""
    file = folder / "calls"
    told = file.read_text().splitlines() if file.exists() else []
    file.unlink(missing_ok=True)
    return [line.replace(f"gui/{os.getuid()}", "gui/UID") for line in told]
