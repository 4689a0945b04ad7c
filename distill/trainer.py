"""The trainer as a process: started for one run's folder, its steps read as they come, its end told in one line.

Owns what an end means; knows nothing of how training goes, of nights or of terminals. Loads no model.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from distill.errors import DistillError
from distill.train.record import RESULT, Estimate, Step

_LOCK = ".lock"
_PATIENCE = 10.0  # seconds that a trainer is waited for whose night is gone
_LINE = 1 << 20  # bytes of one line at most
_FULL = ("No space left", "Unable to write")  # as the system says it, and MLX
_KILLED = (
    "the system killed the trainer, most likely because memory ran out: close other programs, or lower batch, "
    "max_tokens or layers"
)


class TrainerError(DistillError):
    """The trainer did not come to its end."""


async def train(folder: Path, report: Callable[[Step], object]) -> None:
    """Train the run that lies in a folder, from where it stands; each step is reported when it is done. Nothing is done
    where another one has finished it while it was waited for.

    Raises TrainerError with the reason, where the trainer fails or another is at this run.
    """
    async with _alone(folder) as lock:
        if (folder / RESULT).exists():
            return
        async with _running(folder, lock=lock) as lines:
            async for line in lines:
                report(msgspec.json.decode(line, type=Step))


async def estimate(folder: Path) -> Estimate:
    """What the run that a folder orders would take. Raises TrainerError."""
    found: Estimate | None = None
    async with _running(folder, "measure") as lines:
        async for line in lines:
            found = msgspec.json.decode(line, type=Estimate)
    if found is None:
        raise TrainerError("the trainer measured nothing")
    return found


@asynccontextmanager
async def _alone(folder: Path) -> AsyncIterator[int]:
    """Be the only one who trains in a folder. The lock, as a file's number: the trainer inherits it and holds it, too,
    so that nobody begins beside one whose night was killed; it ends within seconds."""
    with (folder / _LOCK).open("ab") as lock:
        end = time.monotonic() + _PATIENCE
        while not _locked(lock.fileno()):
            if time.monotonic() > end:
                raise TrainerError(f"{folder} is being trained by another process: wait until it is done")
            await asyncio.sleep(0.1)
        yield lock.fileno()


def _locked(file: int) -> bool:
    """Whether the lock could be had. The system lifts it when the last of its holders ends, however it ends."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@asynccontextmanager
async def _running(folder: Path, *mode: str, lock: int | None = None) -> AsyncIterator[asyncio.StreamReader]:
    """The trainer at work; its lines. On leaving it is gone, and TrainerError says why it failed, if it did."""
    pipe = asyncio.subprocess.PIPE
    command = [sys.executable, "-m", "distill.train", str(folder), str(os.getpid()), *mode]
    trainer = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=pipe,
        stderr=pipe,
        limit=_LINE,
        pass_fds=() if lock is None else (lock,),
    )
    assert trainer.stdout is not None
    assert trainer.stderr is not None
    complaints = asyncio.create_task(trainer.stderr.read())
    try:
        yield trainer.stdout
        await trainer.wait()
    finally:
        if trainer.returncode is None:
            trainer.kill()
            await trainer.wait()
        said = (await complaints).decode(errors="replace").strip().splitlines()
    if trainer.returncode:
        raise TrainerError(_reason(trainer.returncode, said, folder))


def _reason(code: int, said: list[str], folder: Path) -> str:
    if code == -signal.SIGKILL:
        return _KILLED
    last = said[-1] if said else f"the trainer ended with code {code}"
    if any(sign in last for sign in _FULL):
        return f"the disk of {folder} is full: free some room, and the run goes on where it stood ({last})"
    return f"training failed: {last}"
