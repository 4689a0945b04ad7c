"""The folder of prefixes: its bytes, its manners with other processes and files, and what happens when it fails."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gateway.engine.prefixes.shelf import Shelf
from tests.gateway.engine.prefixes.prefixes import SECRET, SYSTEM, engine_of, files, plain, put, shelves, turn


@pytest.fixture
def open_shelf(tmp_path: Path) -> Iterator[Callable[..., Shelf]]:
    with shelves(tmp_path) as open_one:
        yield open_one


def test_a_file_under_another_name_is_not_believed(open_shelf: Callable[..., Shelf], tmp_path: Path) -> None:
    shelf = open_shelf()
    put(shelf, SYSTEM)
    put(shelf, [1, 2, 3])
    one, other = files(tmp_path)
    one.write_bytes(other.read_bytes())
    for asked in (SYSTEM, [1, 2, 3]):
        caches, length = shelf.load(None, asked)
        assert caches is None or length == len(asked)
    assert len(files(tmp_path)) == 1


def test_what_tells_a_secret_is_not_written(open_shelf: Callable[..., Shelf], tmp_path: Path) -> None:
    shelf, asked = open_shelf(), []
    tokens = [*SYSTEM, SECRET]
    for _ in range(2):
        shelf.put(None, tokens, lambda: asked.append(1))
        shelf.flush()
    put(shelf, SYSTEM)
    assert (asked, shelf.match(None, tokens), len(files(tmp_path))) == ([], len(SYSTEM), 1)


def test_what_tells_a_secret_is_deleted_where_it_is_found(open_shelf: Callable[..., Shelf], tmp_path: Path) -> None:
    tokens = [*SYSTEM, SECRET]
    before = Shelf(tmp_path / "prefixes", 1 << 20, "model", lambda tokens: False)
    put(before, tokens)
    before.close()
    assert len(files(tmp_path)) == 1
    assert open_shelf().match(None, tokens) == 0
    assert files(tmp_path) == []


def test_another_model_and_another_adapter_share_nothing(open_shelf: Callable[..., Shelf], tmp_path: Path) -> None:
    put(open_shelf(), SYSTEM)
    put(open_shelf(), SYSTEM, "adapter")
    other = open_shelf(model="other")
    assert other.load(None, SYSTEM) == (None, 0)
    assert other.match("adapter", SYSTEM) == 0
    again = open_shelf()
    assert again.match(None, SYSTEM) == again.match("adapter", SYSTEM) == len(SYSTEM)
    assert again.match("third", SYSTEM) == 0
    again.forget("adapter")
    again.flush()
    assert (again.match(None, SYSTEM), again.match("adapter", SYSTEM)) == (len(SYSTEM), 0)
    assert len(files(tmp_path)) == 1


def test_an_adapter_that_is_forgotten_while_its_prefix_is_written_leaves_nothing(
    open_shelf: Callable[..., Shelf], tmp_path: Path
) -> None:
    shelf = open_shelf()
    engine = engine_of(shelf)
    for conversation in ("one", "two"):
        turn(engine, conversation, key="adapter")
    engine.forget("adapter")
    shelf.flush()
    assert files(tmp_path) == []
    assert engine.match("adapter", SYSTEM) == 0


def test_the_longest_is_found(open_shelf: Callable[..., Shelf]) -> None:
    shelf = open_shelf()
    for length in (10, 30, 20):
        put(shelf, SYSTEM[:length])
    assert [shelf.match(None, SYSTEM[:n]) for n in (5, 10, 25, 40)] == [0, 10, 20, 30]
    caches, length = shelf.load(None, SYSTEM)
    assert caches is not None
    assert caches[0].offset == length == 30


def test_the_folder_keeps_to_its_bytes_and_the_least_recently_used_goes(
    open_shelf: Callable[..., Shelf], tmp_path: Path
) -> None:
    put(open_shelf(), [0] * 40)
    [file] = files(tmp_path)
    each = file.stat().st_size
    file.unlink()
    shelf = open_shelf(limit=3 * each + each // 2)
    for n in range(3):
        put(shelf, [n] * 40)
        os.utime(tmp_path / "prefixes" / shelf._name(None, [n] * 40), (1_000 + n, 1_000 + n))
    shelf.load(None, [0] * 40)
    shelf.flush()
    put(shelf, [3] * 40)
    assert [shelf.match(None, [n] * 40) for n in range(4)] == [40, 0, 40, 40]
    assert len(files(tmp_path)) == 3
    shelf.put(None, [2] * 40, lambda: pytest.fail("it is there"))  # asked for again: used
    shelf.flush()
    other = open_shelf(limit=3 * each + each // 2, model="other")
    os.utime(tmp_path / "prefixes" / shelf._name(None, [3] * 40), (2_000, 2_000))
    put(other, [9] * 40)  # all models share the folder's bytes
    assert len(files(tmp_path)) == 3
    assert shelf.load(None, [3] * 40) == (None, 0)  # the other has taken it away
    assert shelf.stats().deleted == 0
    with capture_logs() as logs:
        put(shelf, list(range(1000)))  # larger than the shelf: nothing is driven out for it
    assert "larger" in logs[0]["reason"]
    assert len(files(tmp_path)) == 3


def test_what_a_dead_process_left_is_swept_and_what_is_not_ours_is_left_alone(
    open_shelf: Callable[..., Shelf], tmp_path: Path
) -> None:
    folder = tmp_path / "prefixes"
    open_shelf()
    stale, fresh = folder / f".{'a' * 64}.{'1' * 16}.part", folder / f".{'b' * 64}.{'2' * 16}.part"
    theirs = [folder / "notes.txt", folder / "model.safetensors", folder / ".x.part"]
    for file in (stale, fresh, *theirs):
        file.write_bytes(b"content")
        os.utime(file, (1_000, 1_000))
    os.utime(fresh)
    with capture_logs() as logs:
        open_shelf()
    assert logs == []
    assert not stale.exists()
    assert all(file.exists() for file in (fresh, *theirs))


def test_links_pipes_and_folders_are_not_read(open_shelf: Callable[..., Shelf], tmp_path: Path) -> None:
    put(open_shelf(), SYSTEM)
    [file] = files(tmp_path)
    elsewhere = file.rename(tmp_path / "elsewhere")
    file.symlink_to(elsewhere)
    os.mkfifo(file.with_name("c" * 64 + ".safetensors"))
    file.with_name("d" * 64 + ".safetensors").mkdir()
    with capture_logs() as logs:
        shelf = open_shelf()
    assert shelf.match(None, SYSTEM) == 0
    assert [log["event"] for log in logs].count("kept prefix deleted") == 3
    assert elsewhere.exists()


def test_a_folder_that_goes_away_or_a_closed_shelf_costs_a_prefix_and_no_more(
    open_shelf: Callable[..., Shelf], tmp_path: Path
) -> None:
    shelf = open_shelf()
    put(shelf, SYSTEM)
    [file] = files(tmp_path)
    file.unlink()
    file.parent.rmdir()
    engine = engine_of(shelf)
    assert engine.fetch(None, SYSTEM) == (None, 0)
    with capture_logs() as logs:
        put(shelf, [1, 2, 3])
    assert [log["event"] for log in logs] == ["prefix not kept on disk"]
    shelf.forget(None)
    shelf.flush()
    shelf.close()
    with capture_logs() as logs:
        shelf.put(None, [5], lambda: plain([5]))
    assert [log["event"] for log in logs] == ["shelf is closed"]


def test_opening_reads_headers_only(open_shelf: Callable[..., Shelf], tmp_path: Path) -> None:
    put(open_shelf(), SYSTEM)
    [file] = files(tmp_path)
    content = file.read_bytes()
    file.write_bytes(content[:-1] + b"?")
    shelf = open_shelf()
    assert shelf.match(None, SYSTEM) == len(SYSTEM)
    assert shelf.load(None, SYSTEM) == (None, 0)


_OTHER_PROCESS = """
import sys
from pathlib import Path
from distill.mlx import blas
blas.prepare(1)
import mlx.core as mx
from mlx_lm.models.cache import KVCache
from gateway.engine.prefixes.shelf import Shelf
def caches(tokens):
    cache = KVCache()
    cache.update_and_fetch(*[mx.array(tokens, mx.float32).reshape(1, 1, -1, 1)] * 2)
    return [cache]
print("ready", flush=True)
sys.stdin.readline()
for turn in range(40):
    shelf = Shelf(Path(sys.argv[1]), 12_000, "model", lambda tokens: False)
    for n in range(4):
        tokens = [(n + turn) % 9] * 50
        shelf.put(None, tokens, lambda: caches(tokens))
        found, length = shelf.load(None, tokens)
        assert found is None or found[0].keys.reshape(-1).tolist() == [float(tokens[0])] * 50
    shelf.forget("nobody" if turn % 5 else None)
    shelf.close()
    assert shelf.stats().deleted == 0, "a file of the other process was taken for a damaged one"
"""


def test_two_processes_on_one_folder_do_not_break_each_other(tmp_path: Path) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", _OTHER_PROCESS, str(tmp_path / "prefixes")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        for _ in range(2)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    began = time.monotonic()
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        _, said = process.communicate(timeout=60)
        assert process.returncode == 0, said
        assert "kept prefix deleted" not in said
    assert time.monotonic() - began < 60
    assert sum(file.stat().st_size for file in files(tmp_path)) <= 2 * 12_000  # each may have seen the other's too late
    assert not list((tmp_path / "prefixes").glob("*.part"))
