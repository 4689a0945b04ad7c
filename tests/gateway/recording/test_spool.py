"""What waits in the spool stays there whatever happens to the file that it is in."""

from __future__ import annotations

import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.recording.frames import Orders
from gateway.recording.keeping import Keeping
from gateway.recording.spool import Spool
from tests.gateway.recording.test_recorder import stored, trace


@contextmanager
def no_room(file_bytes: int) -> Iterator[None]:
    """While no file of this process grows beyond that, which is what a full disk looks like to it."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handled = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handled)


def waiting(folder: Path) -> list[str]:
    found = Spool(folder).oldest()
    return [getattr(item, "id", "") for item in found[1]] if found else []


def test_a_disk_that_fills_up_takes_nothing_of_what_waits_already(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.add([trace("a"), trace("b")])
    size = (tmp_path / "00000000.jsonl").stat().st_size
    with no_room(size + 4096), pytest.raises(OSError, match="too large"):
        spool.add([trace("c", "x" * 100_000)])
    assert (tmp_path / "00000000.jsonl").stat().st_size == size
    spool.add([trace("d")])
    assert waiting(tmp_path) == ["a", "b", "d"]
    assert spool.waiting == 3


def test_what_comes_after_a_line_that_was_cut_off_is_no_part_of_it(tmp_path: Path) -> None:
    Spool(tmp_path).add([trace("a")])
    with (tmp_path / "00000000.jsonl").open("ab") as file:
        file.write(b'{"trace":{"id":"cut of')
    Spool(tmp_path).add([trace("b"), trace("c")])
    assert waiting(tmp_path) == ["a", "b", "c"]


def test_what_another_process_adds_meanwhile_stays(tmp_path: Path) -> None:
    one, other = Spool(tmp_path), Spool(tmp_path)
    one.add([trace("a")])
    oldest = one.oldest()
    assert oldest is not None
    other.add([trace("b")])
    one.remove(oldest[0])
    assert waiting(tmp_path) == ["a", "b"]


async def test_a_spool_that_cannot_be_used_keeps_nothing_from_the_store(tmp_path: Path) -> None:
    """A folder stands where the next file would be, and so nothing there can be read, written or taken away."""
    (tmp_path / "spool" / "00000000.jsonl").mkdir(parents=True)
    keeping = Keeping(Orders.of(tmp_path), lambda trace: trace)
    assert await keeping.keep([trace("a")])
    await keeping.unspool()
    assert "cannot be brought into it" in keeping.error
    assert await keeping.keep([trace("b")])
    await keeping.close()
    assert await stored(tmp_path) == ["a", "b"]
