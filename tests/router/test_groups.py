"""What may change something: tools by their names, shells by what they are told."""

from __future__ import annotations

import json
from typing import Any

import pytest

from router.chat import FunctionCall, ToolCall
from router.groups import changes, group_of


@pytest.mark.parametrize(
    "name",
    [
        "write_file",
        "WriteFile",
        "deleteUser",
        "apply_patch",
        "MultiEdit",
        "git_commit",
        "send_email",
        "create-issue",
        "Bash",
        "shell",
    ],
)
def test_tools_that_may_change_something(name: str) -> None:
    assert changes(name)


@pytest.mark.parametrize(
    "name", ["read_file", "list_files", "Grep", "getWeather", "search_code", "find_definition", "rewriter", "settings"]
)
def test_tools_that_look(name: str) -> None:
    assert not changes(name)


def shell(command: Any, **more: Any) -> str:
    return json.dumps({"command": command, **more})


@pytest.mark.parametrize(
    "arguments",
    [
        shell("grep -rn 'def f' src"),
        shell("cd src && ls -la"),
        shell("git log --oneline | head -5"),
        shell("grep", args=["-n", "a > b", "x.py"]),
        shell(["cat", "a.txt"]),
        shell("grep -io x y"),
        shell(r"grep -nE '^(a|b)\.c$' x.py"),
        shell('grep "a|b" x.py'),
        shell("cat a; wc -l b || true"),
        shell("find . -name '*.py'"),
    ],
)
def test_commands_that_look_only(arguments: str) -> None:
    assert not changes("run_command", arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        shell("rm -rf build"),
        shell("echo x > file"),
        shell("cat a | tee b"),
        shell("find . -name x -delete"),
        shell("find . -exec rm {} ;"),
        shell("sort -no out in"),
        shell("tree -o out"),
        shell("rg --pre=x y"),
        shell("git push"),
        shell("ls $(rm x)"),
        shell("ls `rm x`"),
        shell("ls\nrm x"),
        shell("ls & rm x"),
        shell("(rm x)"),
        shell("""grep "it's $(rm x) it's" y"""),
        shell("grep x | sh"),
        shell("ls;rm x"),
        shell("python -c 'x'"),
        shell("'unterminated"),
        shell(""),
        shell(7),
        shell([]),
        "{}",
        "not json",
        "[]",
        shell("env rm x"),
    ],
)
def test_commands_that_may_change_something(arguments: str) -> None:
    assert changes("bash", arguments)


def test_the_strictest_call_names_the_group() -> None:
    look = ToolCall("1", FunctionCall("read_file", '{"path": "a"}'))
    write = ToolCall("2", FunctionCall("write_file", '{"path": "a"}'))
    assert group_of([]) == "text"
    assert group_of([look]) == "call"
    assert group_of([look, write]) == "destructive"
