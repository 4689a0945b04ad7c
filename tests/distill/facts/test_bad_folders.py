"""Folders as strangers leave them: endless, unreadable, changing, and with names that are none."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
import threading
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from distill.facts import Limits, Passed, collect
from distill.facts.contents import content_of
from distill.facts.listing import folders

NOBODY = 65534


def write(root: Path, *paths: str) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text("X = 1\n")


def test_the_order_is_by_name_a_folder_before_what_is_in_it(tmp_path: Path) -> None:
    write(tmp_path, "b/z.py", "b/a/y.py", "b.py", "a/x.py", "z/w.py", "B/v.py")
    paths = [file.path for file in collect(tmp_path).files]
    assert paths == ["b.py", "B/v.py", "a/x.py", "b/z.py", "b/a/y.py", "z/w.py"]


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 000 small files, half of them in one folder."""
    root, sources = tmp_path_factory.mktemp("crowd"), tmp_path_factory.mktemp("sources")
    (sources / "function").write_text("def f(): ...\n")
    (sources / "constant").write_text("X = 1\n")
    for at in range(100):
        (root / f"d{at:02}").mkdir()
        for number in range(100):
            os.link(sources / "function", f"{root}/d{at:02}/f{number:02}.py")  # made sooner than a file
    (root / "flat").mkdir()
    for number in range(10_000):
        os.link(sources / "constant", f"{root}/flat/f{number:04}.py")
    return root


def test_twenty_thousand_files_are_read_within_seconds(crowd: Path) -> None:
    started = time.process_time()
    facts = collect(crowd)
    assert time.process_time() - started < 15
    assert (len(facts.files), len(facts.functions), len(facts.constants)) == (20_000, 10_000, 10_000)
    assert facts.skipped == 0


def test_what_is_beyond_the_limit_of_files_is_counted(crowd: Path) -> None:
    facts = collect(crowd, limits=Limits(files=150))
    assert [file.path for file in facts.files] == [f"d{at // 100:02}/f{at % 100:02}.py" for at in range(150)]
    assert facts.passed == {Passed.FILES: 19_850}
    assert facts.skipped == 19_850
    assert list(facts.folders) == [".", "d00", "d01"]  # no listing is kept that is not whole
    again = collect(crowd, limits=Limits(files=150))
    assert msgspec.structs.astuple(again) == msgspec.structs.astuple(facts)


def test_what_is_beyond_the_limit_of_bytes_is_counted(crowd: Path) -> None:
    facts = collect(crowd / "flat", limits=Limits(bytes=600))
    assert len(facts.files) == 100
    assert facts.passed == {Passed.BYTES: 9_900}


def test_what_is_beyond_the_limit_of_entries_is_not_looked_into(crowd: Path) -> None:
    facts = collect(crowd, limits=Limits(entries=150))
    assert len(facts.files) == 100
    assert facts.passed == {Passed.FOLDERS: 100}


def test_the_names_of_a_large_folder_are_not_all_held(crowd: Path) -> None:
    def told() -> Iterator[int]:
        for folder in folders(crowd / "flat", 50, 1_000_000, passed):
            assert folder.files == [f"f{number:04}.py" for number in range(50)]
            assert folder.entries is None
            yield len(folder.files)

    passed: Counter[str] = Counter()
    tracemalloc.start()
    assert sum(told()) == 50
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert passed == {Passed.FILES: 9_950}
    assert peak < 300_000  # ten thousand names take more than twice as much


def test_what_is_no_plain_file_is_not_opened(tmp_path: Path) -> None:
    write(tmp_path, "good.py", "folder.py/inside.py")
    os.mkfifo(tmp_path / "pipe.py")
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "self.py").symlink_to("self.py")
    (tmp_path / "out.py").symlink_to("/etc/passwd")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket.py"))
        facts = collect(tmp_path)
    assert [file.path for file in facts.files] == ["good.py", "folder.py/inside.py"]
    assert facts.passed == {Passed.SPECIAL: 2}
    assert facts.folders["."] == ["folder.py/", "good.py", "out.py", "pipe.py", "self.py", "socket.py"]


def test_a_file_is_opened_as_what_it_is_now(tmp_path: Path) -> None:
    """Between the listing and the opening anything may have taken its place."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/etc/passwd")
    (tmp_path / "folder").mkdir()
    assert content_of(tmp_path / "pipe") is Passed.SPECIAL
    assert content_of(tmp_path / "folder") is Passed.SPECIAL
    assert content_of(tmp_path / "link") is Passed.UNREADABLE
    assert content_of(tmp_path / "gone") is Passed.UNREADABLE
    (tmp_path / "file").write_bytes(b"12345")
    assert content_of(tmp_path / "file", limit=5) == b"12345"
    assert content_of(tmp_path / "file", limit=4) is Passed.TOO_LARGE


@pytest.fixture
def subject() -> Iterator[Path]:
    """A folder to which permissions apply: for root they do not, so root is somebody else meanwhile."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def test_what_may_not_be_read_is_counted(subject: Path) -> None:
    write(subject, "good.py", "closed.py", "folder/inside.py")
    (subject / "closed.py").chmod(0)
    (subject / "folder").chmod(0)
    me = os.geteuid()
    if me == 0:
        os.seteuid(NOBODY)
    try:
        facts = collect(subject)
    finally:
        os.seteuid(me)
        (subject / "folder").chmod(0o700)
    assert [file.path for file in facts.files] == ["good.py"]
    assert facts.passed == {Passed.UNREADABLE: 2}
    assert list(facts.folders) == ["."]


@pytest.fixture
def deepen(tmp_path: Path) -> Iterator[Callable[[str, int], None]]:
    """Makes folders in each other with a file in each. Paths that are too long are no way to make or to remove them:
    shutil recurses."""

    def make(name: str, depth: int) -> None:
        home = Path.cwd()
        try:
            os.chdir(tmp_path)
            for _ in range(depth):
                Path("near.py").write_text("X = 1\n")
                Path(name).mkdir()
                os.chdir(name)
        finally:
            os.chdir(home)

    yield make
    subprocess.run(["rm", "-rf", str(tmp_path / "d"), str(tmp_path / ("d" * 200))], check=True)


def test_folders_deeper_than_a_path_may_be_long_are_counted(tmp_path: Path, deepen: Callable[[str, int], None]) -> None:
    deepen("d" * 200, 30)
    facts = collect(tmp_path)
    assert 15 < len(facts.files) < 25
    assert facts.passed == {Passed.UNREADABLE: 1}


def test_many_folders_in_each_other_are_no_recursion(tmp_path: Path, deepen: Callable[[str, int], None]) -> None:
    deepen("d", 1500)
    facts = collect(tmp_path)
    assert len(facts.files) == 1500
    assert facts.skipped == 0


def test_names_that_are_no_text_are_counted(tmp_path: Path) -> None:
    write(tmp_path, "good.py", "été.py", "with\nline.py")
    os.mkdir(os.fsencode(tmp_path) + b"/odd")  # noqa: PTH102 - a name that is no text
    for name in (b"\xff.py", b"odd/\xfe.py"):
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_text("X = 1\n")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/folder\xff")).mkdir()
    facts = collect(tmp_path)
    assert [file.path for file in facts.files] == ["good.py", "with\nline.py", "été.py"]
    assert facts.passed == {Passed.ODD_NAME: 3}
    assert facts.folders == {}  # none of the two listings can be told whole
    assert msgspec.json.decode(msgspec.json.encode(facts.files))


def test_a_file_that_changes_while_it_is_read_says_nothing(tmp_path: Path) -> None:
    path = tmp_path / "moving.py"
    states = [b"a" * 400_000, b"b" * 700_000]
    path.write_bytes(states[0])
    done = threading.Event()

    def write_on() -> None:
        at = 0
        while not done.is_set():
            with path.open("r+b") as file:
                at += 1
                file.truncate(0)
                for start in range(0, len(states[at % 2]), 50_000):
                    file.write(states[at % 2][start : start + 50_000])
                    file.flush()

    writer = threading.Thread(target=write_on)
    writer.start()
    deadline = time.monotonic() + 60
    try:
        while content_of(path) is not Passed.CHANGED:
            assert time.monotonic() < deadline
    finally:
        done.set()
        writer.join()
    assert content_of(path) in states


def test_a_folder_that_goes_away_meanwhile_is_counted(tmp_path: Path) -> None:
    write(tmp_path, "a/x.py", "b/y.py")
    passed: Counter[str] = Counter()
    walk = folders(tmp_path, 10, 10, passed)
    assert next(walk).path == "."
    (tmp_path / "a" / "x.py").unlink()
    (tmp_path / "a").rmdir()
    assert [folder.path for folder in walk] == ["b"]
    assert passed == {Passed.UNREADABLE: 1}
