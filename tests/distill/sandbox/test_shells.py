"""The same hostile calls, and hostile lines besides, through tools that take a line of a shell or its words."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from distill.confinement import confinement
from distill.tools import Toolbox
from distill.vocabularies import load_vocabularies
from tests.distill.sandbox.bait import HIDDEN, SECRET, Bait, new_bait
from tests.distill.sandbox.calls import Hostile
from tests.distill.sandbox.lines import LINES, as_line, as_words
from tests.distill.sandbox.test_hostile import CLASSES, FREE, LIMITS
from tests.distill.sandbox.test_races import swapping

pytestmark = pytest.mark.school

VOCABULARIES = load_vocabularies(Path(__file__).parents[3] / "data" / "vocabularies")
_TOLD = [
    *(("bash", line) for calls in CLASSES.values() for call in calls if (line := as_line(call))),
    *(("codex", words) for call in FREE if (words := as_words(call))),
    *(("bash", Hostile("bash", json.dumps({"command": line}))) for line in LINES),
    *(("codex", Hostile("shell", json.dumps({"command": ["bash", "-lc", line]}))) for line in LINES),
    *(
        ("codex", Hostile("shell", json.dumps({"command": ["cat", "secret.txt"], "workdir": at})))
        for at in ("..", "up")
    ),
]
_GRACE = 4.0  # seconds for what is not the command itself


@pytest.fixture(scope="module")
def bait() -> Iterator[Bait]:
    with new_bait() as made:
        yield made


@pytest.mark.parametrize(("vocabulary", "call"), _TOLD, ids=str)
async def test_no_line_gets_more_than_a_command(vocabulary: str, call: Hostile, bait: Bait) -> None:
    known = VOCABULARIES[vocabulary]
    toolbox = Toolbox(bait.root, LIMITS).offering(known)
    raw = bait.words(call.raw)
    start = time.monotonic()
    result = await toolbox.call(call.tool, raw)
    assert time.monotonic() - start < LIMITS.seconds + _GRACE
    assert bait.damage(raw, result) == []
    assert len(result) <= LIMITS.output + 100
    if call.holds == "refused":
        before, _ = known.error.split("{text}")
        assert result.startswith(before)


def test_there_are_hundreds() -> None:
    assert len({call.raw for _, call in _TOLD}) >= 600
    assert len({*LINES}) >= 100


async def test_no_folder_to_run_in_is_swapped(bait: Bait) -> None:
    if confinement() is None:
        return
    with new_bait() as racing:
        turned = racing.root / "pkg" / "turned"
        turned.mkdir()
        (turned / "secret.txt").write_text("class Harmless:\n")
        toolbox = Toolbox(racing.root).offering(VOCABULARIES["codex"])
        raws = [
            json.dumps({"command": command, "workdir": "pkg/turned"})
            for command in (["cat", "secret.txt"], ["sed", "-n", "1,9p", "secret.txt"], ["ls", "-Ap"], ["ls"])
        ]
        with swapping(turned, racing.root.parent / "private"):
            until = time.monotonic() + 3
            results = []
            while time.monotonic() < until:
                results += [await toolbox.call("shell", raw) for raw in raws]
    assert [result for result in results if SECRET in result or HIDDEN in result] == []
    assert any("Harmless" in result for result in results)
