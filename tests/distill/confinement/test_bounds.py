"""Lines that never end, or want more than there is: they end in time, alone, and nothing of them stays."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from distill.confinement import Bounds, Confined, Printed, Way
from tests.distill.confinement.world import LINGERING, PLACE, lingering, wait_for
from tests.distill.confinement.world import WAYS as ALL

WAYS = {name: way for name, way in ALL.items() if way is not None}
SHORT = Bounds(seconds=1.5, cpu_seconds=1, memory=96 << 20, processes=24, output=1 << 16)
pytestmark = pytest.mark.skipif(not WAYS, reason="this machine has no confinement; test_attacks proves it")


@pytest.fixture
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where an ordinary user may read it, too."""
    made = tmp_path_factory.mktemp("snapshot")
    (made / "a.txt").write_text("alpha\n")
    for folder in (made, made.parent, made.parent.parent):
        folder.chmod(0o755)
    yield made
    made.parent.parent.chmod(0o700)


def timed(way: Way, root: Path, line: str, bounds: Bounds = SHORT) -> tuple[Printed | None, float]:
    begun = time.monotonic()
    printed = Confined(way, bounds).printed(root, PLACE, ".", line)
    return printed, time.monotonic() - begun


ENDLESS = [
    f"sleep {LINGERING}",
    f"sleep {LINGERING} & sleep {LINGERING}",
    f"exec >&- 2>&-; sleep {LINGERING}",
    f"trap '' TERM INT HUP XCPU; while :; do sleep {LINGERING}; done",
    "yes",
    "yes >&2",
    "cat a.txt; yes | tr -d '\\n'",
    f"sleep {LINGERING} | setsid sleep {LINGERING}",
]


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
@pytest.mark.parametrize("line", ENDLESS)
def test_what_does_not_end_or_prints_too_much_is_ended(line: str, way: Way, root: Path) -> None:
    printed, took = timed(way, root, line)
    assert printed is None
    assert took < SHORT.seconds + 3
    assert wait_for(lambda: lingering() == [])


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
def test_seconds_of_computing_are_counted_apart(way: Way, root: Path) -> None:
    printed, took = timed(way, root, "while :; do :; done; echo on", Bounds(seconds=60.0, cpu_seconds=1))
    assert printed is not None
    assert (printed.status > 128, printed.output) == (True, "")
    assert took < 30


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS limits no memory")
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
def test_memory_ends(way: Way, root: Path) -> None:
    printed, _ = timed(way, root, "head -c 200000000 a.txt a.txt; yes xxxxxxxxxxxxxxxx | tail -n 99999999999")
    assert printed is None or ("memory" in printed.complaint.lower() and printed.status)
    free = subprocess.run("yes xxxxxxxx | head -n 20000000 | tail -n 19999999 | wc -l", shell=True, capture_output=True)
    assert free.stdout.strip() == b"19999999"


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS counts a user's processes, not a line's")
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
def test_processes_end(way: Way, root: Path) -> None:
    started = f"n=0; while [ $n -lt 200 ]; do sleep {LINGERING} & n=$((n+1)); echo $n; done; sleep {LINGERING}"
    printed, _ = timed(way, root, started)
    assert printed is not None
    assert 5 < len(printed.output.splitlines()) < SHORT.processes
    assert "fork" in printed.complaint
    for bomb in ("bomb() { bomb | bomb; }; bomb", f"bomb() {{ bomb | bomb & }}; bomb; sleep {LINGERING}"):
        printed, took = timed(way, root, bomb)
        assert printed is None or "fork" in printed.complaint
        assert took < SHORT.seconds + 3
    assert wait_for(lambda: lingering() == [] and not _bombs())


def _bombs() -> list[int]:
    return [one.pid for one in psutil.process_iter(["cmdline"]) if "bomb()" in " ".join(one.info["cmdline"] or [])]


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
def test_whoever_runs_a_line_may_be_killed(way: Way, root: Path) -> None:
    argv = way.argv(root, way.place(root, PLACE), ".", f"setsid sleep {LINGERING}", Bounds())
    code = "import subprocess, sys; subprocess.run(sys.argv[1:], start_new_session=True)"
    runs = subprocess.Popen([sys.executable, "-c", code, *argv])
    assert wait_for(lambda: len(lingering()) > 0)
    runs.kill()
    runs.wait()
    assert wait_for(lambda: lingering() == [])


def test_its_own_time_ends_it_where_nobody_else_does(root: Path) -> None:
    for way in WAYS.values():
        argv = way.argv(root, way.place(root, PLACE), ".", f"setsid sleep {LINGERING}", Bounds(seconds=0.5))
        subprocess.run(argv, capture_output=True, timeout=30)
        assert wait_for(lambda: lingering() == [])


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
def test_lines_that_cannot_be_run_are_none(way: Way, root: Path) -> None:
    confined = Confined(way, SHORT)
    for line in ("cat \0 a.txt", "cat \ud800", "exit 125", "a" * 3_000_000):
        assert confined.printed(root, PLACE, ".", line) is None
    assert confined.printed(root, PLACE, "no/such/folder", "cat a.txt") is None
    assert confined.printed(root / "missing", PLACE, ".", "cat a.txt") is None
    assert confined.printed(root, PLACE, ".", "no_such_program") == Printed(
        127, "", "sh: 1: no_such_program: not found\n"
    )


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
def test_a_line_is_run_once_on_a_snapshot(way: Way, root: Path) -> None:
    confined = Confined(way)
    first = confined.printed(root, PLACE, ".", "cat a.txt")
    assert first == Printed(0, "alpha\n")
    (root / "a.txt").write_text("omega\n")
    assert confined.printed(root, PLACE, ".", "cat a.txt") is first
    assert Confined(way).printed(root, PLACE, ".", "cat a.txt") == Printed(0, "omega\n")
