"""Reading without a program gives what the tools give with one: compared call by call on a real package."""

from __future__ import annotations

import asyncio
import json
import os
import time
from pathlib import Path

import pytest

from distill.errors import RepositoryError
from distill.generate.repositories import snapshot
from distill.reading import Reader
from distill.searching import plain_pattern
from distill.tools import Limits, Toolbox

# words of a command, parted by strokes
GREPS = """
-rn|def |.
-rnw|class HookImpl|.
-rnw|class .*(.*Error|.
-rn|^class |.
-rl|import|.
-rc|def|.
-rnF|**kwargs|.
-rnFw|self|.
-rni|PLUGIN|.
-rniw|hook|.
-rn|return$|.
-rn|^$x|.
-rn|\\.py|.
-n|^def |_hooks.py
-c|^class |_hooks.py
-l|class|_hooks.py
-nH|class|_hooks.py
-n|x|_hooks.py|_manager.py
-rn|nothing_like_it|.
-rn|def|../outside
-n|def|missing.py
-rnE|class Hook|.
-rn|def
-rw|def .*: Any|.
-rn|é|.
-rn|b.c|.
-rn|a[b]|.
-rnE|a(b)|.
-rn|a\\(b|.
-rn|-A1|.
-r|--include=*.py|def|.
-rn|caf|.
-rnw|^_T|.
-rn|x.*|.
-rnw|Hook.*:|.
-n|--|-x|_hooks.py
-rh|def|.
-rn|..|.
-rn|two|link
-rn|two|folder
-rn|two|.git
-|x|.
"""
FINDS = """
.|-name|*.py
.|-name|_hooks.py
.|-type|d
.|-name|*|-type|f
sub|-name|*.txt
.|-maxdepth|1|-name|*
-name|*.py
.|-iname|*.PY
.|-name|[a]*
.|-type|l
.|-maxdepth|0|-type|d
sub/|-name|*
missing|-name|x
.|-size|+1k
.|-name|sub
sub|-name|sub
.|-maxdepth|2|-type|f
.|-name|?.txt
.
.|-type|f|-name|nope
folder|-name|*
"""
OTHERS = """
ls
ls|.
ls|sub
ls|_hooks.py
ls|-l
ls|sub|.
ls|missing
ls|folder
cat|_hooks.py
cat|sub/a.txt|sub/b.txt
cat|-n|sub/a.txt
cat|blob.bin
cat|empty.txt
cat
cat|sub
head|_hooks.py
head|-n|3|_hooks.py
head|-n3|_hooks.py
head|-5|_hooks.py
head|-n|0|_hooks.py
head|-c|5|_hooks.py
tail|_hooks.py
tail|-n|2|_hooks.py
tail|-n|+2|sub/a.txt
tail|-2|_hooks.py
wc|-l|_hooks.py
wc|_hooks.py
wc|-l|empty.txt
wc|-l|no-newline.txt
rm|x
"""
OWN = [
    ("read_file", {"path": "_hooks.py"}),
    ("read_file", {"path": "_hooks.py", "start": 30, "lines": 5}),
    ("read_file", {"path": "missing.py"}),
    ("read_file", {"path": "../up"}),
    ("read_file", {"path": "link"}),
    ("read_file", {"path": "blob.bin"}),
    ("read_file", {}),
    ("list_files", {}),
    ("list_files", {"path": "sub"}),
    ("list_files", {"path": "_hooks.py"}),
    ("no_tool", {}),
]
NEVER_PLAIN = ["ls|-l", "cat|-n|sub/a.txt", "head|-c|5|_hooks.py", "wc|_hooks.py", "tail|-n|+2|sub/a.txt"]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = snapshot("pluggy", tmp_path_factory.mktemp("reading"))
    (made / "sub").mkdir()
    (made / "sub" / "a.txt").write_text("one\ntwo\r\nthree two\n")
    (made / "sub" / "b.txt").write_bytes(b"caf\xe9 two\n./dotted\n\ncaf\xc3\xa9\n")
    (made / "no-newline.txt").write_text("class Last")
    (made / "empty.txt").write_text("")
    (made / "blob.bin").write_bytes(b"def x\0def y")
    (made / ".hidden").write_text("def hidden\n")
    (made / ".git").mkdir()
    (made / ".git" / "config").write_text("def secret two\n")
    (made / "link").symlink_to("sub/a.txt")
    (made / "folder").symlink_to("sub")
    (made / "away").symlink_to(made.parent)
    os.mkfifo(made / "pipe")
    return made


def commands() -> list[str]:
    greps, finds = ([*text.strip().split("\n")] for text in (GREPS, FINDS))
    return [*(f"grep|{words}" for words in greps), *(f"find|{words}" for words in finds), *OTHERS.strip().split("\n")]


def arguments(words: str) -> str:
    program, *args = words.split("|")
    return json.dumps({"command": program, "args": [arg for arg in args if arg]})


async def test_commands_give_the_same_or_are_left_to_the_program(root: Path) -> None:
    reader, toolbox = Reader(root), Toolbox(root)
    free = asyncio.Semaphore(4)

    async def told(words: str) -> tuple[str, str | None, str]:
        raw = arguments(words)
        async with free:
            return words, reader.answer("run_command", raw), await toolbox.call("run_command", raw)

    compared = await asyncio.gather(*map(told, commands()))
    assert [(words, mine, theirs) for words, mine, theirs in compared if mine not in (None, theirs)] == []
    plain = {words for words, mine, _ in compared if mine is not None}
    assert not plain & {*NEVER_PLAIN}
    assert len(plain) > 0.7 * len(compared)


@pytest.mark.parametrize(("name", "given"), OWN)
async def test_reading_and_listing(root: Path, name: str, given: dict[str, object]) -> None:
    assert Reader(root).answer(name, json.dumps(given)) == await Toolbox(root).call(name, json.dumps(given))


BROKEN = ["", "{", "[]", '{"path": 1}', '{"path": "_hooks.py", "start": 0}', '{"path": "\\u0000"}', "[" * 9999]


@pytest.mark.parametrize("raw", BROKEN)
async def test_broken_arguments(root: Path, raw: str) -> None:
    for name in ("read_file", "list_files", "run_command"):
        told = Reader(root).answer(name, raw)
        assert told == await Toolbox(root).call(name, raw)
        assert told is not None


async def test_long_results_are_cut_the_same(root: Path) -> None:
    limits = Limits(output=120)
    for words in ("grep|-rn|def|.", "cat|_hooks.py", "find|.|-name|*"):
        mine = Reader(root, limits).answer("run_command", arguments(words))
        assert mine == await Toolbox(root, limits).call("run_command", arguments(words))
        assert mine is not None
        assert "more characters not shown" in mine


@pytest.mark.parametrize("pattern", ["a", "a.*a.*a.*a.*a.*b", "^a.*b$"])
def test_no_pattern_takes_long(pattern: str) -> None:
    plain = plain_pattern(pattern, "basic", word=True)
    assert plain is not None
    start = time.monotonic()
    plain.matches(b"a" * 1_000_000)
    assert time.monotonic() - start < 2


def test_no_folder() -> None:
    with pytest.raises(RepositoryError):
        Reader(Path("/nowhere/at/all"))
