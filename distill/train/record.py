"""The record of a run: the files of its folder, and what steps, looks and the trainer's own estimate say.

Owns names and forms, for those who write them and those who only read; loads no model.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from distill.errors import DatasetError

METRICS, RESULT, CHECKPOINTS, ADAPTER = "metrics.jsonl", "result.json", "checkpoints", "adapter"
TAUGHT, SOFT = "lessons.json", "soft.safetensors"


class Look(msgspec.Struct, frozen=True):
    """What was seen of the conversations kept apart, after a step: the share of the assistant's turns that the model
    would write to the token, and the loss, in nats per learnt token."""

    step: int
    exact: float
    loss: float


class Step(msgspec.Struct, frozen=True):
    """A line of metrics.jsonl. `loss` is in nats per learnt token; `tokens` are those of the batch's conversations;
    `seconds` are those of all starts of the run together, `memory` the most bytes that the process has taken."""

    step: int
    steps: int
    loss: float
    norm: float
    rate: float
    examples: int
    tokens: int
    seconds: float
    memory: int
    look: Look | None = None


class Taught(msgspec.Struct, frozen=True):
    """lessons.json: how many conversations a run learns from and keeps `apart`, and how many were left out because they
    are `too_long` or teach nothing (`silent`); in how many words before calls were (`unsaid`); `shared_prefix`: whether
    shared beginnings are run once."""

    examples: int
    apart: int
    too_long: int
    silent: int
    shared_prefix: bool
    unsaid: int = 0


class Estimate(msgspec.Struct, frozen=True):
    """What a run would take, measured before it: seconds for all its steps, for its looks and until it begins, bytes
    at once in memory and on the disk. `measured` steps were run, and `run_tokens` are the tokens of all steps, those
    of shared beginnings counted once."""

    taught: Taught
    steps: int
    looks: int
    measured: int
    run_tokens: int
    start_seconds: float
    step_seconds: float
    look_seconds: float
    memory_bytes: int
    disk_bytes: int

    @property
    def seconds(self) -> float:
        return self.start_seconds + self.step_seconds + self.look_seconds


def read_steps(folder: Path) -> list[Step]:
    """The steps that a run has told of; a last line that was cut is no step. Raises DatasetError."""
    try:
        lines = (folder / METRICS).read_bytes().splitlines(keepends=True)
        return [msgspec.json.decode(line, type=Step) for line in lines if line.endswith(b"\n")]
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise DatasetError(f"{folder / METRICS} cannot be read: {error}") from error


def read_taught(folder: Path) -> Taught | None:
    """What a run learns from; None before it knows. Raises DatasetError."""
    try:
        return msgspec.json.decode((folder / TAUGHT).read_bytes(), type=Taught)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise DatasetError(f"{folder / TAUGHT} cannot be read: {error}") from error


def read_result(folder: Path) -> dict[str, Any] | None:
    """result.json of a run; None for one that is not finished. Raises DatasetError."""
    try:
        return msgspec.json.decode((folder / RESULT).read_bytes(), type=dict[str, Any])
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise DatasetError(f"{folder / RESULT} cannot be read: {error}") from error
