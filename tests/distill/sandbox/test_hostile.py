"""Hostile calls of the exploring agent's tools on a hostile repository: each is refused or contained."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from distill.confinement import confinement
from distill.reading import ERROR, Reader
from distill.tools import Limits, Toolbox
from tests.distill.sandbox import hostile, malformed
from tests.distill.sandbox.bait import SECRET, Bait, new_bait
from tests.distill.sandbox.calls import Hostile

pytestmark = pytest.mark.school

CLASSES = {**hostile.CLASSES, **malformed.CLASSES}
CALLS = [pytest.param(call, id=f"{name}-{at}") for name, calls in CLASSES.items() for at, call in enumerate(calls)]
# as on a machine that cannot shut programs in: what starts no program is refused there by the same words of code
FREE = [call for name in CLASSES for call in CLASSES[name] if call.holds != "refused" or name in ("patterns", "sizes")]
LIMITS = Limits(seconds=2.0, cpu_seconds=2)
_GRACE = 4.0  # seconds for what is not the command itself
_MARK = 60  # characters of the line that says how much is missing


@pytest.fixture(scope="module")
def bait() -> Iterator[Bait]:
    """One for all calls: as long as none does harm, it stays as it is."""
    with new_bait() as made:
        yield made


@pytest.mark.parametrize("call", CALLS)
async def test_a_hostile_call_is_refused_or_contained(
    call: Hostile, bait: Bait, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _is_contained(call, bait, monkeypatch)


@pytest.mark.parametrize("call", FREE, ids=str)
async def test_it_is_where_programs_run_free(call: Hostile, bait: Bait, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("distill.tools.confinement", lambda: None)
    await _is_contained(call, bait, monkeypatch)


async def _is_contained(call: Hostile, bait: Bait, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{bait.root}:{bait.root}/bin")
    monkeypatch.setenv("GREP_OPTIONS", "-r --file=../patterns")
    monkeypatch.setenv("PYTHONPATH", str(bait.root))
    monkeypatch.setenv("TOKEN", SECRET)
    raw = bait.words(call.raw)
    start = time.monotonic()
    result = await Toolbox(bait.root, LIMITS).call(call.tool, raw)
    assert time.monotonic() - start < LIMITS.seconds + _GRACE
    assert bait.damage(raw, result) == []
    _is_text(result)
    if call.holds != "contained":
        assert result.startswith(ERROR) == (call.holds == "refused")
    if call.holds == "shown":
        assert result == call.text


@pytest.mark.parametrize("call", CALLS)
def test_by_night_it_is_no_other(call: Hostile, bait: Bait) -> None:
    """Without a program a call is refused in the same words, or left to one."""
    raw = bait.words(call.raw)
    result = Reader(bait.root, LIMITS).answer(call.tool, raw)
    assert bait.damage(raw, result or "") == []
    if result is not None:
        _is_text(result)
        assert call.holds != "refused" or result.startswith(ERROR)
        assert call.holds != "shown" or result == call.text


def test_there_are_enough_of_all_kinds() -> None:
    assert len(CLASSES) >= 15
    assert len({(call.tool, call.raw) for calls in CLASSES.values() for call in calls}) >= 200
    assert min(map(len, CLASSES.values())) >= 7


def _is_text(result: str) -> None:
    assert result
    assert len(result) <= LIMITS.output + len(ERROR) + _MARK
    assert json.loads(json.dumps(result)) == result
    result.encode()


@pytest.mark.parametrize(
    ("tool", "raw"),
    [
        ("read_file", '{"path": "<name>"}'),
        ("list_files", '{"path": "<name>"}'),
        ("run_command", '{"command": "cat", "args": ["<name>"]}'),
        ("run_command", '{"command": "ls", "args": ["-d", "<name>/"]}'),
        ("run_command", '{"command": "find", "args": [".", "-name", "<name>", "-type", "l"]}'),
        ("run_command", '{"command": "find", "args": [".", "-name", "<name>", "-empty"]}'),
    ],
)
async def test_what_a_link_leads_to_is_not_told(tool: str, raw: str, bait: Bait) -> None:
    """Not even whether it is there."""
    toolbox = Toolbox(bait.root, LIMITS)
    told = [(name, await toolbox.call(tool, raw.replace("<name>", name))) for name in ("is-there", "is-not-there")]
    assert len({result.replace(name, "<name>") for name, result in told}) == 1


async def test_a_listing_does_not_tell_it_either(bait: Bait) -> None:
    assert {"is-there", "is-not-there", "pkg/"} <= set((await Toolbox(bait.root).call("list_files", "{}")).splitlines())
    if confinement() is not None:
        marked = await Toolbox(bait.root).call("run_command", '{"command": "ls", "args": ["-lF"]}')
        targets = {line.split(" -> ")[1] for line in marked.splitlines() if " -> /" in line}
        assert {f"{bait.base}/outer/private", f"{bait.base}/outer/absent!"} <= targets
