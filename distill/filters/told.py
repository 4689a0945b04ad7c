"""What a caller tells the filters besides the traces. Owns the form of it; everything in it may be left out."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path

from distill.confinement import Confined
from distill.filters.reasons import Finding, Rules
from distill.outcome import Outcome
from distill.trajectory import Run, Trajectory
from distill.workspace import Workspace
from router.chat import AnswerMessage


def _no_outcomes(trace: str) -> Iterable[Outcome]:
    return ()


def _no_samples(trace: str) -> Sequence[AnswerMessage]:
    return ()


@dataclass(frozen=True)
class Snapshot:
    """`root` holds files as they were. `clean`: these the agent had before it when the conversation began; without it,
    somebody may have changed some. `whole`: it had no others; in a folder there may be what git does not know."""

    root: Path
    clean: bool = False
    whole: bool = False


@dataclass(frozen=True)
class Told:
    """`reserved` names the repositories of examinations: nothing about them is ever learnt.

    `outcomes` gives what is known of a trace by its id, `samples` more answers of the teacher to the same request.
    `snapshot` gives the files as they were in the conversation, None where there are none; `changed` is when (Unix
    seconds) a call in it, on whichever of its ways, first may have changed some. `confined` runs lines of a shell on a
    snapshot, None where the machine has no confinement that was proven.
    `finds_secret` says whether a text holds one. `oracle` says whether an answer (second) to a question (first) is
    right, `needs_tool` whether one has to look at something to answer it, `category` which it is of, and `judge`
    whether a run is good; None: they cannot say. `teaches` says whether a model (first) teaches a category (second).
    """

    rules: Rules = field(default_factory=Rules)
    reserved: Set[str] = frozenset()
    outcomes: Callable[[str], Iterable[Outcome]] = _no_outcomes
    samples: Callable[[str], Sequence[AnswerMessage]] = _no_samples
    snapshot: Callable[[Workspace], Snapshot | None] | None = None
    changed: float = math.inf
    confined: Confined | None = None
    finds_secret: Callable[[str], bool] | None = None
    oracle: Callable[[str, str], bool | None] | None = None
    needs_tool: Callable[[str], bool | None] | None = None
    category: Callable[[str], str | None] | None = None
    teaches: Callable[[str, str], bool] | None = None
    judge: Callable[[Trajectory, Run], bool | None] | None = None


Check = Callable[[Trajectory, Sequence[Run], Told], Iterator[Finding]]
"""A check looks at the runs of a trajectory that none before it dropped, and says what is wrong with them."""
