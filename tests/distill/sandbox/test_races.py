"""Whoever swaps a folder for a link while calls go on leads no call out of the repository."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from distill.commands import confine
from distill.confinement import confinement
from distill.errors import ToolError
from distill.opening import open_inside
from distill.reading import Reader
from distill.tools import Limits, Toolbox
from tests.distill.sandbox.bait import HIDDEN, SECRET, Bait, new_bait

pytestmark = pytest.mark.school

_SECONDS = 1.5  # of each kind of call
_LONGEST = 20.0  # seconds for a race that must be won once
_TURN = 0.0002  # seconds for which things are as they are


@contextmanager
def swapping(folder: Path, target: Path) -> Iterator[None]:
    """The folder is now a folder, now a link."""
    over = threading.Event()
    aside = folder.with_name("aside")

    def turn() -> None:
        while not over.is_set():
            folder.rename(aside)
            folder.symlink_to(target)
            time.sleep(_TURN)
            folder.unlink()
            aside.rename(folder)
            time.sleep(_TURN)

    thread = threading.Thread(target=turn)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@pytest.fixture
def racing() -> Iterator[Bait]:
    with new_bait() as bait:
        turned = bait.root / "pkg" / "turned"
        turned.mkdir()
        (turned / "secret.txt").write_text("class Harmless:\n")
        (turned / "secret.py").write_text("class Harmless:\n")
        with swapping(turned, bait.root.parent / "private"):
            yield bait


def _raced(once: Callable[[], str], seconds: float) -> tuple[int, bool]:
    """How many calls found the folder as it should be, and whether one was led out."""
    until = time.monotonic() + seconds
    found = 0
    while time.monotonic() < until:
        result = once()
        if SECRET in result or HIDDEN in result:
            return found, True
        found += "Harmless" in result or "secret.py" in result
    return found, False


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("read_file", {"path": "pkg/turned/secret.txt"}),
        ("list_files", {"path": "pkg/turned"}),
    ],
)
def test_reading_is_not_led_out(racing: Bait, tool: str, arguments: dict[str, str]) -> None:
    reader, raw = Reader(racing.root), json.dumps(arguments)
    found, led_out = _raced(lambda: reader.say(tool, raw), _SECONDS)
    assert found > 0
    assert not led_out


def test_one_who_trusts_the_check_is_led_out(racing: Bait) -> None:
    """So there is a race to be lost above."""

    def trusting() -> str:
        try:
            return confine(racing.root, "pkg/turned/secret.txt").read_text()
        except (OSError, ToolError):
            return ""

    assert _raced(trusting, _LONGEST)[1]


@pytest.mark.parametrize(
    ("program", "args"),
    [
        ("cat", ["pkg/turned/secret.txt"]),
        ("grep", ["-rn", "class", "pkg/turned"]),
        ("grep", ["-rn", "class", "pkg"]),
        ("find", ["pkg/turned/", "-name", "*"]),
        ("ls", ["pkg/turned"]),
        ("ls", ["-R", "pkg"]),
    ],
)
async def test_programs_are_not_led_out_where_they_are_shut_in(racing: Bait, program: str, args: list[str]) -> None:
    if confinement() is None:
        return
    toolbox = Toolbox(racing.root, Limits(seconds=5.0))
    raw = json.dumps({"command": program, "args": args})
    until = time.monotonic() + _SECONDS
    results = []
    while time.monotonic() < until:
        results.append(await toolbox.call("run_command", raw))
    assert [result for result in results if SECRET in result or HIDDEN in result] == []
    assert any("Harmless" in result or "secret.py" in result for result in results)


async def test_what_a_program_is_led_to_is_not_there(racing: Bait) -> None:
    """The same without luck: a program that asks for what is outside does not find it."""
    if confinement() is None:
        return
    toolbox = Toolbox(racing.root)
    for path in (racing.base / "secret.txt", racing.home, Path("/etc/passwd"), Path("../secret.txt")):
        status, output, _ = await toolbox._execute(["/bin/cat", str(path)])
        assert (status != 0, output) == (True, "")


@pytest.mark.parametrize("name", ["leak", "up/secret.txt", "pkg/chain-three"])
def test_no_link_is_opened(name: str) -> None:
    with new_bait() as bait, pytest.raises(OSError, match=r"symbolic links|directory"):
        open_inside(bait.root, bait.root / name)


@pytest.mark.parametrize("name", ["pipe", "device"])
def test_no_pipe_is_waited_for(name: str) -> None:
    with new_bait() as bait, pytest.raises((ToolError, OSError)):
        open_inside(bait.root, bait.root / name)
