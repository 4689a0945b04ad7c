"""Small transcripts written by hand, and what is read of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from distill.formats.find import detect, read
from distill.formats.lines import BadLine
from distill.trace import Trace

SAMPLES = Path(__file__).parent / "samples"

Taken = tuple[list[Trace], list[BadLine]]


@pytest.fixture
def sample() -> Callable[[str], Path]:
    return lambda name: SAMPLES / name


@pytest.fixture
def taken() -> Callable[[Path], Taken]:
    """The traces of a file in the format that it is found to be in, and its bad lines."""

    def take(path: Path) -> Taken:
        found = list(read(path, detect(path)))
        traces = [one for one in found if isinstance(one, Trace)]
        return traces, [one for one in found if isinstance(one, BadLine)]

    return take


@pytest.fixture
def whole(taken: Callable[[Path], Taken]) -> Callable[[str], list[Trace]]:
    """The traces of a sample, all of whose lines are good."""

    def take(name: str) -> list[Trace]:
        traces, bad = taken(SAMPLES / name)
        assert not bad
        return traces

    return take
