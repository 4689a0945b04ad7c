"""Bounds of the exploring agent's tools: many files, much memory, many calls at once, a call that is given up."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from distill.confinement import Bounds, confinement
from distill.confinement.running import run
from distill.reading import ERROR
from distill.tools import Limits, Toolbox
from tests.distill.sandbox.bait import Bait, new_bait, remaining

pytestmark = pytest.mark.school

_FILES = 100_000
_SHOWN = 8100  # characters of a result
_ENDLESS = {"command": "wc", "args": ["-l", "sparse.bin"]}


@pytest.fixture(scope="module")
def bait() -> Iterator[Bait]:
    with new_bait() as made:
        yield made


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("crowded")
    for number in range(_FILES):
        os.close(os.open(f"{folder}/module_{number:06}.py", os.O_CREAT | os.O_WRONLY))
    return folder


def command(program: str, *args: str) -> tuple[str, str]:
    return "run_command", json.dumps({"command": program, "args": args})


@pytest.mark.parametrize(
    "call",
    [
        ("list_files", "{}"),
        command("ls"),
        command("ls", "-lR"),
        command("find", ".", "-name", "*"),
        command("find", ".", "-size", "-1k"),
        command("grep", "-rc", "x", "."),
        command("grep", "-rL", "x"),
    ],
)
async def test_a_folder_of_many_files(crowded: Path, call: tuple[str, str]) -> None:
    start = time.monotonic()
    result = await Toolbox(crowded).call(*call)
    assert time.monotonic() - start < 2 * Limits().seconds
    assert len(result) <= _SHOWN
    assert "module_000000.py" in result or result.startswith(ERROR)


@pytest.mark.skipif(sys.platform != "linux", reason="macOS has no limit on memory")
async def test_memory_and_processes_are_limited(bait: Bait) -> None:
    toolbox = Toolbox(bait.root, Limits(memory=128 << 20))
    status, output, _ = await toolbox._execute(["/bin/sh", "-c", "ulimit -v"])
    assert (status, int(output)) == (0, (128 << 20) >> 10)
    pattern = "((x{1,255}){1,255}){1,255}"
    assert (await toolbox.call(*command("grep", "-E", pattern, "slow.txt"))).startswith(ERROR)


async def test_many_calls_at_once(bait: Bait) -> None:
    toolbox = Toolbox(bait.root)
    calls = [command("wc", "-l", "pkg/a.py"), command("cat", "../secret.txt"), ("read_file", '{"path": "hard"}')] * 20
    results = await asyncio.gather(*(toolbox.call(*call) for call in calls))
    assert set(results) == {"5 pkg/a.py", "error: ../secret.txt is outside the repository", "1: Base\n2: class"}
    assert remaining() == []


async def test_a_call_that_is_given_up_leaves_nothing(bait: Bait) -> None:
    toolbox = Toolbox(bait.root)
    call = asyncio.create_task(toolbox.call("run_command", json.dumps(_ENDLESS)))
    assert await asyncio.to_thread(_comes_true, remaining)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert await asyncio.to_thread(_comes_true, lambda: not remaining())


async def test_a_call_that_takes_too_long_leaves_nothing(bait: Bait) -> None:
    result = await Toolbox(bait.root, Limits(seconds=0.5)).call("run_command", json.dumps(_ENDLESS))
    assert result == "error: took longer than 0.5 s"
    assert await asyncio.to_thread(_comes_true, lambda: not remaining())


async def test_there_is_no_network_where_programs_are_shut_in(bait: Bait) -> None:
    dial = ["/bin/bash", "-c", f"echo x > /dev/tcp/127.0.0.1/{bait.tcp.getsockname()[1]}"]
    if confinement() is not None:
        status, _, _ = await Toolbox(bait.root)._execute(dial)
        assert status != 0
        with pytest.raises(BlockingIOError):
            bait.tcp.accept()
    if (await asyncio.to_thread(run, dial, Bounds())) is not None:  # so the line would have reached it
        bait.tcp.accept()[0].close()


def _comes_true(true: Callable[[], object]) -> bool:
    """What is started or killed takes a moment."""
    until = time.monotonic() + 5
    while not (found := true()) and time.monotonic() < until:
        time.sleep(0.02)
    return bool(found)
