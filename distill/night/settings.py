"""What a night is told: its settings, and the errors and the progress that its stages share. Knows no stage."""

from __future__ import annotations

import hashlib
import time
from importlib import metadata
from pathlib import Path
from typing import Any, Literal, Protocol

import msgspec

from distill.dataset import Mixture
from distill.dataset.contamination import Passage
from distill.errors import DistillError
from distill.examination.setting import Examination
from distill.filters import VERSION, Rules
from distill.labelling import Limits
from distill.night.diary import Stage
from distill.prompts import Prompt
from distill.snapshots import Snapshots
from distill.train.order import base_digest


class NightError(DistillError):
    """The night could not be finished."""


class NightOver(NightError):
    """The night came to a good end before an adapter was proposed: nothing is new, or what is new is doubted, or no
    time is left. `outcome` is the diary's word for it."""

    def __init__(self, outcome: Literal["nothing", "doubted", "partial"], reason: str) -> None:
        super().__init__(reason)
        self.outcome = outcome


def part_of(deadline: float, share: float) -> float:
    """When this share of the time up to a deadline is over; both in Unix seconds."""
    now = time.time()
    return now + share * max(0.0, deadline - now)


class NightSettings(msgspec.Struct, frozen=True):
    """What a night is told. `recipe` overrides the default recipe's fields; `lease_bytes` is what training may take.

    `deadline` is the Unix second at which it has to be over, None: whenever; `until` the stage after which it stops,
    to go on when it is started again. Every `from_base` nights an adapter is trained from the base although another one
    serves, which is trained further in the other ones. An adapter that is to replace another may be `margin` worse at
    most, as far as the examination can tell.
    """

    data: Path
    models: Path
    base: Path
    templates: Path
    vocabularies: Path
    examination: Examination
    recipe: dict[str, Any]
    lease_bytes: int
    minimum: int = 50  # fewer conversations than this are not worth a night
    at_once: int = 8
    timed: int = 60  # questions that base and adapter are asked alone, for their seconds; 59 bound a 95th percentile
    reserved: tuple[str, ...] = ()  # more repositories that are never trained on
    passages: tuple[Passage, ...] = ()  # of other examinations, which no example may repeat either
    rules: Rules = Rules()
    labels: Limits = Limits()
    judge: str = ""  # the model that is asked whether what passed is good; empty: none is
    mixture: Mixture = Mixture()
    snapshots: Snapshots | None = None  # what results are read again on
    prompt: Prompt | None = None  # with which the base is examined besides
    from_base: int = 7
    margin: float = 0.05
    keep_days: float = 30.0  # that what no longer serves is kept; 0: for good
    teacher_tokens: int = 0  # that a night may take by asking the teacher again, or a judge; 0: as many as it takes
    gives_way: float = 0.0  # seconds of quiet that training waits for, where a request wants its memory; 0: it goes on
    deadline: float | None = None
    until: Stage | None = None

    @property
    def digest(self) -> str:
        """Of all that decides what comes out of a night, but for where things lie and how long it may take."""
        told = (
            base_digest(self.base),
            {name: metadata.version(name) for name in ("nightschool", "mlx", "mlx-lm")},
            msgspec.to_builtins(self.examination),
            self.recipe,
            self.minimum,
            self.timed,
            sorted(self.reserved),
            VERSION,
            msgspec.to_builtins(self.rules),
            msgspec.to_builtins(self.labels),
            self.judge,
            msgspec.to_builtins(self.mixture),
            msgspec.to_builtins(self.prompt),
            sorted(passage.question + "\n" + passage.answer for passage in self.passages),
            self.from_base,
            self.margin,
        )
        return hashlib.sha256(msgspec.json.encode(told, order="sorted")).hexdigest()[:16]


class Progress(Protocol):
    """Where the night tells how far it is: a stage by name, its end and its total."""

    def stage(self, name: str, total: int | None) -> None: ...
    def step(self, done: int | None = None, note: str = "") -> None: ...
