"""The exploring agent's tools: what they show, and that nothing a model writes gets them to do more."""

import asyncio
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from distill.errors import RepositoryError
from distill.tools import NOTHING, SPECS, Limits, Toolbox


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path / "repository"
    (root / "pkg" / "sub").mkdir(parents=True)
    (root / "empty").mkdir()
    (root / ".git").mkdir()
    (root / ".git" / "config").write_text("class Hidden:\n")
    (root / "pkg" / "b.py").write_text("class Base:\n    pass\n\n\nclass Child(Base):\n    pass\n")
    (root / "pkg" / "a.py").write_text("from pkg.b import Base\n\n\nclass Other(Base):\n    pass\n")
    (root / "pkg" / "sub" / "c.py").write_text("class Baseline(BaseModel):\n    text = 'a[0] (b'\n")
    (root / "pkg" / "none.py").write_text("")
    (root / "with space.txt").write_text("one\ntwo\n")
    (root / "blob.bin").write_bytes(b"class Base\0\1\2")
    (tmp_path / "secret.txt").write_text("the secret\n")
    (root / "leak").symlink_to(tmp_path / "secret.txt")
    (root / "up").symlink_to(tmp_path)
    (root / "loop").symlink_to(root / "loop")
    os.mkfifo(root / "pipe")
    return root


@pytest.fixture
def toolbox(repository: Path) -> Toolbox:
    return Toolbox(repository, Limits(seconds=5.0))


async def command(toolbox: Toolbox, program: str, *args: str) -> str:
    return await toolbox.call("run_command", json.dumps({"command": program, "args": list(args)}))


async def test_grep_lists_matches_in_the_order_of_paths(toolbox: Toolbox) -> None:
    found = await command(toolbox, "grep", "-rnw", "class .*(.*Base", ".")
    assert found == "pkg/a.py:4:class Other(Base):\npkg/b.py:5:class Child(Base):"


async def test_lines_of_one_file_keep_their_order(toolbox: Toolbox, repository: Path) -> None:
    (repository / "long.txt").write_text("x\n" * 12)
    found = await command(toolbox, "grep", "-rn", "x", "long.txt")
    assert found == "\n".join(f"{number}:x" for number in range(1, 13))


async def test_grep_keeps_context_groups_together(toolbox: Toolbox) -> None:
    found = await command(toolbox, "grep", "-rn", "-A1", "(Base)", ".")
    assert found.split("\n--\n") == [
        "pkg/a.py:4:class Other(Base):\npkg/a.py-5-    pass",
        "pkg/b.py:5:class Child(Base):\npkg/b.py-6-    pass",
    ]


async def test_find_is_sorted_and_passes_over_git(toolbox: Toolbox) -> None:
    assert await command(toolbox, "find", ".", "-name", "*.py") == ("pkg/a.py\npkg/b.py\npkg/none.py\npkg/sub/c.py")
    assert ".git" not in await command(toolbox, "find")


@pytest.mark.parametrize(
    ("program", "args", "shown"),
    [
        ("wc", ["-l", "pkg/b.py"], "6 pkg/b.py"),
        ("head", ["-n", "1", "pkg/a.py"], "from pkg.b import Base"),
        ("head", ["-1", "pkg/a.py"], "from pkg.b import Base"),
        ("tail", ["-n1", "pkg/a.py"], "    pass"),
        ("cat", ["with space.txt"], "one\ntwo"),
        ("cat", ["pkg/none.py"], NOTHING),
        ("grep", ["-c", "^class ", "pkg/b.py"], "2"),
        ("grep", ["-rlF", "a[0] (b", "."], "pkg/sub/c.py"),
        ("grep", ["-rn", "nowhere", "."], NOTHING),
        ("grep", ["-rn", "Hidden"], NOTHING),
        ("grep", ["-e", "Child", "pkg/b.py"], "class Child(Base):"),
        ("ls", ["pkg"], "a.py\nb.py\nnone.py\nsub"),
    ],
)
async def test_a_plain_command_says_what_it_says(toolbox: Toolbox, program: str, args: list[str], shown: str) -> None:
    assert await command(toolbox, program, *args) == shown


async def test_an_absolute_path_inside_the_repository_is_allowed(toolbox: Toolbox, repository: Path) -> None:
    assert "one" in await command(toolbox, "cat", str(repository / "with space.txt"))


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*"))


HOSTILE = [
    ("rm", ["-rf", "."]),
    ("sh", ["-c", "id"]),
    ("/bin/cat", ["pkg/a.py"]),
    ("../../bin/cat", ["pkg/a.py"]),
    ("grep -rn x .", []),
    ("", []),
    ("find", [".", "-exec", "id", ";"]),
    ("find", [".", "-execdir", "id", "+"]),
    ("find", [".", "-ok", "id", ";"]),
    ("find", [".", "-delete"]),
    ("find", [".", "-fprint", "made"]),
    ("find", [".", "-fprintf", "made", "x"]),
    ("find", [".", "-fls", "made"]),
    ("find", ["-L", ".", "-name", "secret.txt"]),
    ("find", [".", "-follow"]),
    ("find", [".", "-newer", "/etc/passwd"]),
    ("find", [".", "-files0-from", "/etc/passwd"]),
    ("find", [".", "-name"]),
    ("find", ["..", "-name", "secret.txt"]),
    ("find", ["/etc", "-name", "passwd"]),
    ("find", ["up/", "-name", "secret.txt"]),
    ("find", [".", "-maxdepth", "1; id"]),
    ("grep", ["-f", "../secret.txt", "pkg/a.py"]),
    ("grep", ["-f../secret.txt", "pkg/a.py"]),
    ("grep", ["-rnf", "../secret.txt", "."]),
    ("grep", ["--file=../secret.txt", "pkg/a.py"]),
    ("grep", ["--fil=../secret.txt", "pkg/a.py"]),
    ("grep", ["--exclude-from=../secret.txt", "-r", "x", "."]),
    ("grep", ["-R", "secret", "."]),
    ("grep", ["--dereference-recursive", "secret", "."]),
    ("grep", ["-P", "(a+)+$", "pkg/a.py"]),
    ("grep", ["-rn", "secret", "up"]),
    ("grep", ["-n", "secret", "leak"]),
    ("grep", ["secret", "../secret.txt"]),
    ("grep", ["-e", "x", "-e"]),
    ("grep", ["x"]),
    ("grep", ["-A", "x", "y", "pkg/a.py"]),
    ("cat", ["../secret.txt"]),
    ("cat", ["leak"]),
    ("cat", ["up/secret.txt"]),
    ("cat", ["pkg/../../secret.txt"]),
    ("cat", ["--", "../secret.txt"]),
    ("cat", ["/etc/passwd"]),
    ("cat", ["/proc/self/environ"]),
    ("cat", ["/dev/zero"]),
    ("cat", ["pipe"]),
    ("cat", ["loop"]),
    ("cat", ["-"]),
    ("cat", []),
    ("cat", ["pkg"]),
    ("cat", ["blob.bin"]),
    ("cat", ["~/.ssh/id_rsa"]),
    ("cat", ["pkg/a.py\0/etc/passwd"]),
    ("cat", ["a" * 5000]),
    ("cat", ["a/" * 450]),
    ("cat", ["pkg/a.py"] * 50),
    ("head", ["-c", "9" * 30, "pkg/a.py"]),
    ("tail", ["-f", "pkg/a.py"]),
    ("tail", ["--follow", "pkg/a.py"]),
    ("wc", ["--files0-from=/etc/passwd"]),
    ("ls", [".."]),
    ("ls", ["/"]),
    ("ls", ["--color=always", "--hyperlink"]),
    ("wc", ["-l", "$(id)"]),
    ("wc", ["-l", "`id`"]),
    ("wc", ["-l", "pkg/a.py; id"]),
    ("cat", ["\ud800"]),
]


@pytest.mark.parametrize(("program", "args"), HOSTILE)
async def test_what_is_not_allowed_is_refused_in_words(
    toolbox: Toolbox, repository: Path, program: str, args: list[str]
) -> None:
    before = names_in(repository)
    result = await command(toolbox, program, *args)
    assert result.startswith("error: ")
    assert "the secret" not in result
    assert "root:" not in result
    assert names_in(repository) == before


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("run_command", "{"),
        ("run_command", ""),
        ("run_command", "[]"),
        ("run_command", "null"),
        ("run_command", '{"command": "cat"}'),
        ("run_command", '{"command": "cat", "args": "pkg/a.py"}'),
        ("run_command", '{"command": "cat", "args": [1]}'),
        ("run_command", '{"command": "cat", "args": ["pkg/a.py"], "cwd": "/"}'),
        ("run_command", '{"command": ' + "[" * 100_000 + "]" * 100_000 + "}"),
        ("read_file", "{}"),
        ("read_file", '{"path": "pkg/a.py", "start": 0}'),
        ("read_file", '{"path": "pkg/a.py", "start": -1}'),
        ("read_file", '{"path": "pkg/a.py", "start": 1e99}'),
        ("read_file", '{"path": "pkg/a.py", "lines": true}'),
        ("read_file", '{"path": "../secret.txt"}'),
        ("read_file", '{"path": "leak"}'),
        ("read_file", '{"path": "up/secret.txt"}'),
        ("read_file", '{"path": "pipe"}'),
        ("read_file", '{"path": "loop"}'),
        ("read_file", '{"path": "pkg"}'),
        ("read_file", '{"path": "blob.bin"}'),
        ("read_file", '{"path": "a\\u0000b"}'),
        ("read_file", '{"path": "missing.py"}'),
        ("list_files", '{"path": ".."}'),
        ("list_files", '{"path": "up"}'),
        ("list_files", '{"path": "pkg/a.py"}'),
        ("list_files", '{"path": "missing"}'),
        ("write_file", "{}"),
        ("", "{}"),
    ],
)
async def test_arguments_that_make_no_sense_are_an_error_text(toolbox: Toolbox, tool: str, arguments: str) -> None:
    result = await toolbox.call(tool, arguments)
    assert result.startswith("error: ")
    assert "the secret" not in result


async def test_read_file_numbers_the_lines_it_shows(toolbox: Toolbox) -> None:
    assert (
        await toolbox.call("read_file", '{"path": "pkg/b.py", "start": 4, "lines": 2}') == "4: \n5: class Child(Base):"
    )
    assert await toolbox.call("read_file", '{"path": "pkg/b.py", "start": 400}') == NOTHING


async def test_list_files_marks_folders(toolbox: Toolbox) -> None:
    assert await toolbox.call("list_files", '{"path": "pkg"}') == "a.py\nb.py\nnone.py\nsub/"
    assert await toolbox.call("list_files", '{"path": "empty"}') == NOTHING


async def test_a_long_result_keeps_its_beginning_and_says_what_is_missing(repository: Path) -> None:
    (repository / "long.txt").write_text("".join(f"line {number}\n" for number in range(1000)))
    shown = await command(Toolbox(repository, Limits(output=100)), "cat", "long.txt")
    assert shown.startswith("line 0\nline 1\n")
    kept, _, marker = shown.rpartition("\n")
    assert marker == f"[{len((repository / 'long.txt').read_text()) - 1 - len(kept)} more characters not shown]"
    assert len(kept) <= 100


async def test_a_command_that_takes_too_long_is_ended(repository: Path) -> None:
    (repository / "slow.txt").write_text("a" * 1000 + "bc\n")
    slow = r"^\(a*\)\(a*\)\(a*\)\1\2\3c"  # back-references have no fast way
    start = time.monotonic()
    result = await command(Toolbox(repository, Limits(seconds=0.5)), "grep", "-n", slow, "slow.txt")
    assert result == "error: took longer than 0.5 s"
    assert time.monotonic() - start < 3


async def test_output_without_end_is_cut_off(repository: Path) -> None:
    (repository / "large.txt").write_text(("x" * 99 + "\n") * 30_000)
    result = await command(Toolbox(repository, Limits(collected=100_000)), "cat", "large.txt")
    assert result == "error: too much output; ask for less"


async def test_commands_run_with_limits_and_an_empty_environment(toolbox: Toolbox) -> None:
    script = "import os, resource; print(dict(os.environ), resource.getrlimit(resource.RLIMIT_FSIZE))"
    status, output, _ = await toolbox._execute([sys.executable, "-I", "-S", "-c", script])
    assert status == 0
    assert "(0, 0)" in output
    assert set(output.split("}")[0].strip("{").replace("'", "").split(": ")[0:1]) <= {"", "LC_CTYPE"}


async def test_calls_do_not_disturb_each_other(toolbox: Toolbox) -> None:
    calls = (command(toolbox, "wc", "-l", f"pkg/{name}.py") for name in ("a", "b", "none") * 4)
    assert await asyncio.gather(*calls) == ["5 pkg/a.py", "6 pkg/b.py", "0 pkg/none.py"] * 4


def test_a_repository_must_be_a_folder(tmp_path: Path) -> None:
    with pytest.raises(RepositoryError, match="no folder"):
        Toolbox(tmp_path / "nowhere")


def test_the_specifications_are_short() -> None:
    listed: list[Any] = [
        {"type": tool.type, "function": {"name": tool.function.name, "parameters": tool.function.parameters}}
        for tool in SPECS
    ]
    assert [entry["function"]["name"] for entry in listed] == ["run_command", "read_file", "list_files"]
    assert len(json.dumps(listed)) < 800
