"""Runs one program to its end or to a bound, and ends all of it. Owns pipes, time and the size of what is kept.

Knows nothing of confinement: what is run is an argument list that brings its own.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Sequence

import msgspec

_COMPLAINT = 1 << 16  # bytes
_BLOCK = 1 << 16


class Bounds(msgspec.Struct, frozen=True):
    """`seconds` of wall time for a line; `cpu_seconds` and bytes of `memory` for each of at most `processes`; bytes of
    `output` before a line is ended."""

    seconds: float = 10.0
    cpu_seconds: int = 5
    memory: int = 1 << 30
    processes: int = 32
    output: int = 1 << 20


class Printed(msgspec.Struct, frozen=True):
    """How a line ended, what it printed, and what it complained of on its standard error."""

    status: int
    output: str
    complaint: str = ""


def run(argv: Sequence[str], bounds: Bounds) -> Printed | None:
    """What the program prints; None where it met a bound. Raises OSError where it cannot be started."""
    process = subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd="/",
        env={},
        start_new_session=True,
    )
    with process:
        try:
            kept = _collect(process, bounds)
            return None if kept is None else Printed(process.wait(), *(part.decode(errors="replace") for part in kept))
        finally:
            _end(process)


def _collect(process: subprocess.Popen[bytes], bounds: Bounds) -> tuple[bytes, bytes] | None:
    """Output and complaint, once both are closed and the program has ended."""
    assert process.stdout is not None
    assert process.stderr is not None
    until = time.monotonic() + bounds.seconds
    kept = {process.stdout: (bytearray(), bounds.output), process.stderr: (bytearray(), _COMPLAINT)}
    with selectors.DefaultSelector() as selector:
        for stream in kept:
            selector.register(stream, selectors.EVENT_READ)
        while selector.get_map():
            ready = selector.select(max(0.0, until - time.monotonic()))
            if not ready:
                return None
            for key, _ in ready:
                part = os.read(key.fd, _BLOCK)
                text, most = kept[key.fileobj]  # type: ignore[index]
                text += part
                if len(text) > most:
                    return None
                if not part:
                    selector.unregister(key.fileobj)
    try:
        process.wait(max(0.0, until - time.monotonic()))
    except subprocess.TimeoutExpired:  # it closed what it prints to, and runs on
        return None
    return bytes(kept[process.stdout][0]), bytes(kept[process.stderr][0])


def _end(process: subprocess.Popen[bytes]) -> None:
    """The program and its process group, to which process 1 of its own process namespace belongs."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
