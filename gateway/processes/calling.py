"""Programs of the system, called for what they do or say. Owns their patience and how their trouble is told.

Knows nothing of which programs there are.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
from collections.abc import Sequence

import msgspec

from gateway.settings import agent_environment

_PATIENCE = 60.0  # seconds

Command = tuple[str, ...]


class Said(msgspec.Struct, frozen=True):
    """What a program printed, bytes that are no text included, and what went wrong, empty if nothing did."""

    out: str = ""
    err: str = ""
    trouble: str = ""


def ask(command: Sequence[str], given: str = "", **variables: str) -> Said:
    """Run a command with `given` as its input and these variables besides the environment."""
    if shutil.which(command[0]) is None:
        return Said(trouble=f"there is no {command[0]}")
    try:
        done = subprocess.run(
            command,
            input=given.encode("utf-8", "surrogateescape"),
            capture_output=True,
            timeout=_PATIENCE,
            check=False,
            env=agent_environment(variables, []),
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Said(trouble=str(error))
    out, err = (printed.decode("utf-8", "surrogateescape") for printed in (done.stdout, done.stderr))
    if not done.returncode:
        return Said(out, err)
    said = (err.strip() or out.strip()).splitlines() or [f"{command[0]} ended with code {done.returncode}"]
    return Said(out, err, said[-1].encode("utf-8", "replace").decode())


def call(commands: Sequence[Command]) -> str:
    """Run commands up to the first that fails; what went wrong, empty if nothing did."""
    return next((trouble for command in commands if (trouble := ask(command).trouble)), "")


def to_type(commands: Sequence[Command]) -> str:
    """The commands as a person types them."""
    return "; ".join(shlex.join(command) for command in commands)
