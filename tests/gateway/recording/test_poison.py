"""A trace that cannot be kept as it is keeps none of those behind it from the disk."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from distill.formats.find import read
from distill.formats.lines import BadLine
from distill.redact.redactor import Redactor
from distill.store.store import TraceStore
from distill.trace import Served, Trace
from gateway.recording.frames import Orders, framed
from gateway.recording.recorder import Recorder
from router.chat import Usage
from tests.gateway.recording.test_recorder import recording, stored, trace, until

_HUGE = 2**63


@pytest.mark.parametrize(
    "more",
    [
        {"usage": Usage(_HUGE, _HUGE, _HUGE)},
        {"created": 1e300},
        {"turn": _HUGE},
        {"served": Served([_HUGE - 1], [1])},
        {"served": Served([1], [-_HUGE])},
    ],
)
async def test_numbers_that_the_store_has_no_room_for(tmp_path: Path, more: dict[str, Any]) -> None:
    odd = msgspec.structs.replace(trace("odd"), **more)
    async with recording(tmp_path) as recorder:
        recorder.put(odd)
        recorder.put(trace("after"))
        await until(lambda: recorder.status.written == 2)
        assert recorder.status.error == ""
    assert await stored(tmp_path) == ["odd", "after"]
    async with await TraceStore.open(tmp_path / "traces.db") as store:
        assert await store.get("odd") == msgspec.structs.replace(odd, served=None)
        assert sum(one.traces for one in await store.sums()) == 2
        assert await store.forget(["odd"]) == 1
        assert sum(one.traces for one in await store.sums()) == 1
        assert [fault async for fault in store.faults()] == []


def nested(depth: int) -> Trace:
    inner: dict[str, Any] = {}
    for _ in range(depth):
        inner = {"a": inner}
    plain = trace(f"deep-{depth}")
    return msgspec.structs.replace(plain, request=msgspec.structs.replace(plain.request, metadata=inner))


def as_deep_as_it_can_be_written() -> list[Trace]:
    found = []
    for depth in range(sys.getrecursionlimit() - 300, sys.getrecursionlimit()):
        try:
            framed(nested(depth))
        except RecursionError:
            break
        found.append(nested(depth))
    return found[-60:]


async def test_what_is_nested_deeper_than_others_can_read_is_counted_as_lost(tmp_path: Path) -> None:
    deep = [nested(300), *as_deep_as_it_can_be_written()]
    async with recording(tmp_path) as recorder:
        for one in (*deep, nested(5000), trace("after")):
            recorder.put(one)
        await until(lambda: recorder.status.waiting == 0)
        assert recorder.status.dropped == len(deep)
        assert recorder.status.error == ""
    assert await stored(tmp_path) == ["deep-300", "after"]


def test_an_import_takes_nothing_that_is_nested_deeper(tmp_path: Path) -> None:
    file = tmp_path / "traces.jsonl"
    file.write_bytes(b"\n".join(map(msgspec.json.encode, (nested(300), nested(600), trace("a")))))
    found = [one.reason if isinstance(one, BadLine) else "taken" for one in read(file, "traces")]
    assert found == ["taken", "nested too deeply", "taken"]


def test_a_redactor_takes_what_is_nested_as_deep_as_is_kept() -> None:
    redactor = Redactor(b"k" * 32)
    assert all(redactor.trace(nested(depth)) == nested(depth) for depth in range(300, 490, 3))


async def test_a_process_that_died_in_the_middle_of_a_word_is_no_end_of_recording(tmp_path: Path) -> None:
    pipe = asyncio.subprocess.PIPE
    told = await asyncio.create_subprocess_exec(sys.executable, "-c", "print('{\"done\"', end='')", stdout=pipe)
    await Recorder(Orders.of(tmp_path))._hear(told)
    assert await told.wait() == 0
