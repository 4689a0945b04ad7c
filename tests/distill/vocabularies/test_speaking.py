"""What a model may say in each vocabulary, in whatever manner, and which canonical call it means."""

from typing import Any

import pytest

from distill.generate.templates import Call
from distill.vocabularies import normal
from tests.distill.vocabularies.asking import VOCABULARIES


def ran(*words: str) -> Call:
    return Call("run_command", {"command": words[0], "args": [*words[1:]]})


def read(path: str, start: int, lines: int) -> Call:
    return Call("read_file", {"path": path, "start": start, "lines": lines})


def meant(vocabulary: str, tool: str, **arguments: Any) -> Call | None:
    return VOCABULARIES[vocabulary].meant(Call(tool, arguments))


REGEX = {"query": "x", "isRegexp": True}
CONTENT = {"pattern": "x", "output_mode": "content"}
TWO_STARS = "( -path ./t/x.py -o -path ./t/*/x.py -o -path ./*/t/x.py -o -path ./*/t/*/x.py )"
SAID: list[tuple[str, str, dict[str, Any], Call]] = [
    ("bash", "bash", {"command": 'grep -rnw "class .*(.*Base" ./'}, ran("grep", "-rnw", "class .*(.*Base", ".")),
    ("bash", "bash", {"command": "grep -w -n -r 'class Base'"}, ran("grep", "-rnw", "class Base", ".")),
    ("bash", "bash", {"command": "grep --recursive -n -E 'a\\.b' ."}, ran("grep", "-rn", "a\\.b", ".")),
    ("bash", "bash", {"command": "grep -rn x . 2>/dev/null | head -n 5"}, ran("grep", "-rn", "x", ".")),
    ("bash", "bash", {"command": "cat a.py | head -5"}, ran("cat", "a.py")),
    ("bash", "bash", {"command": "sed -n '3,7p' ./a.py"}, read("a.py", 3, 5)),
    ("bash", "bash", {"command": 'sed -n "3,7p" a.py'}, read("a.py", 3, 5)),
    ("bash", "bash", {"command": "ls -pA pkg/"}, Call("list_files", {"path": "pkg"})),
    ("bash", "bash", {"command": "find . -name '*.py' -type f"}, ran("find", ".", "-name", "*.py", "-type", "f")),
    ("codex", "shell", {"command": ["wc", "-l", "a.py"]}, ran("wc", "-l", "a.py")),
    ("codex", "shell", {"command": ["bash", "-lc", "grep -n 'def ' a.py"]}, ran("grep", "-n", "def ", "a.py")),
    ("codex", "shell", {"command": ["ls"], "workdir": "./"}, ran("ls")),
    ("claude", "Grep", {"-n": True, "output_mode": "content", "pattern": "def f"}, ran("grep", "-rn", "def f", ".")),
    ("claude", "Grep", {"pattern": "x", "path": "./pkg/"}, ran("grep", "-rl", "x", "pkg")),
    (
        "claude",
        "Grep",
        {"pattern": "x", "glob": "*.{py,pyi}"},
        ran("grep", "-rl", "--include=*.py", "--include=*.pyi", "x", "."),
    ),
    ("claude", "Grep", {"pattern": "x", "output_mode": "count", "path": "a.py"}, ran("grep", "-c", "x", "a.py")),
    ("claude", "Grep", {"pattern": "(?i)x", "-i": False}, ran("grep", "-rli", "x", ".")),
    ("claude", "Grep", {"pattern": "-x", "-i": "true"}, ran("grep", "-rli", "-e", "-x", ".")),
    (
        "claude",
        "Grep",
        CONTENT | {"-n": True, "-A": 2, "head_limit": 3},
        ran("grep", "-rn", "-A2", "x", "."),
    ),
    ("claude", "Glob", {"pattern": "**/*.py"}, ran("find", ".", "-name", "*.py")),
    ("claude", "Glob", {"pattern": "*.py", "path": "./pkg"}, ran("find", "pkg", "-name", "*.py")),
    ("claude", "Glob", {"pattern": "pkg/*.py"}, ran("find", "pkg", "-maxdepth", "1", "-name", "*.py")),
    (
        "claude",
        "Glob",
        {"pattern": "pkg/**/*.{py,txt}"},
        ran("find", "pkg", "(", "-name", "*.py", "-o", "-name", "*.txt", ")"),
    ),
    ("claude", "Glob", {"pattern": "**/*"}, ran("find", ".", "-type", "f")),
    (
        "claude",
        "Glob",
        {"pattern": "**/t/**/x.py"},
        ran(
            "find",
            ".",
            "(",
            *[
                "-path",
                "./t/x.py",
                "-o",
                "-path",
                "./t/*/x.py",
                "-o",
                "-path",
                "./*/t/x.py",
                "-o",
                "-path",
                "./*/t/*/x.py",
            ],
            ")",
        ),
    ),
    ("claude", "Read", {"file_path": "a.py"}, read("a.py", 1, 2000)),
    ("claude", "Read", {"file_path": "./a.py", "offset": "7", "limit": 3.0}, read("a.py", 7, 3)),
    ("claude", "Read", {"file_path": "a.py", "offset": 0, "limit": 1}, read("a.py", 1, 1)),
    ("claude", "LS", {"path": ""}, Call("list_files", {"path": "."})),
    ("opencode", "read", {"filePath": "a.py", "offset": 6, "limit": 3}, read("a.py", 7, 3)),
    ("opencode", "list", {}, Call("list_files", {"path": "."})),
    ("copilot", "grep_search", {"query": "a[0]", "isRegexp": False}, ran("grep", "-rnF", "a[0]", ".")),
    (
        "copilot",
        "grep_search",
        {"query": "x", "isRegexp": True, "includePattern": "**/*.py"},
        ran("grep", "-rn", "--include=*.py", "x", "."),
    ),
    (
        "copilot",
        "grep_search",
        REGEX | {"includePattern": "pkg/**"},
        ran("grep", "-rn", "x", "pkg"),
    ),
    (
        "copilot",
        "grep_search",
        REGEX | {"includePattern": "pkg/a.py"},
        ran("grep", "-n", "x", "pkg/a.py"),
    ),
    ("copilot", "read_file", {"filePath": "a.py", "startLine": 5, "endLine": 9}, read("a.py", 5, 5)),
    ("cline", "list_files", {"path": "pkg", "recursive": True}, ran("find", "pkg", "-type", "f")),
    ("cline", "execute_command", {"command": "wc -l a.py", "requires_approval": True}, ran("wc", "-l", "a.py")),
    ("gemini", "read_file", {"file_path": "a.py", "limit": None, "offset": None}, read("a.py", 1, 2000)),
]


@pytest.mark.parametrize(("vocabulary", "tool", "arguments", "call"), SAID)
def test_calls_mean_the_same_however_they_are_said(
    vocabulary: str, tool: str, arguments: dict[str, Any], call: Call
) -> None:
    found = meant(vocabulary, tool, **arguments)
    assert found is not None
    assert normal(found) == normal(call)


@pytest.mark.parametrize(
    ("vocabulary", "tool", "arguments"),
    [
        ("bash", "bash", {}),
        ("bash", "bash", {"command": ["ls"]}),
        ("bash", "bash", {"command": "ls", "timeout": 5}),
        ("bash", "shell", {"command": "ls"}),
        ("bash", "run_command", {"command": "ls", "args": []}),
        ("bash", "bash", {"command": "cat a | head -n 0"}),
        ("codex", "shell", {"command": ["ls"], "workdir": "pkg"}),  # done, and no call of this folder
        ("claude", "Grep", {"pattern": "x", "output_mode": "lines"}),
        ("claude", "Grep", {"pattern": "x", "glob": "pkg/*.py"}),
        ("claude", "Read", {"file_path": "a", "offset": -1}),
        ("claude", "Read", {"file_path": "a", "offset": "first"}),
        ("claude", "Read", {"path": "a"}),
        ("copilot", "read_file", {"filePath": "a", "startLine": 9, "endLine": 5}),
        ("copilot", "grep_search", {"query": "x", "isRegexp": True, "includePattern": "a/**/b/*.py"}),
    ],
)
def test_what_makes_no_sense_means_nothing(vocabulary: str, tool: str, arguments: dict[str, Any]) -> None:
    assert meant(vocabulary, tool, **arguments) is None


@pytest.mark.parametrize(
    ("vocabulary", "call"),
    [
        ("claude", ran("wc", "-l", "a.py")),
        ("copilot", ran("grep", "-c", "x", "a.py")),
        ("opencode", ran("find", ".", "-type", "d")),
        ("opencode", ran("grep", "-rvn", "x", ".")),
        ("copilot", ran("grep", "-rn", "-A2", "x", ".")),
        ("bash", Call("unknown", {})),
        ("bash", Call("read_file", {"path": 1})),
        ("bash", Call("read_file", {})),
        ("bash", Call("run_command", {"command": "ls", "args": "x"})),
        ("bash", Call("run_command", {"command": None})),
        ("claude", Call("list_files", {"path": None})),
        ("claude", Call("read_file", {"path": "a", "start": 0})),
        ("claude", ran("grep", "-rn", "-A", "x", "y", ".")),
        ("claude", ran("find", ".", "-name", "*")),
        ("claude", ran("find", ".", "-name")),
        ("claude", ran("find", ".", "-name", "a", "-name", "b")),
        ("copilot", ran("grep", "-n", "x", "a[0].py")),
        ("copilot", ran("find", "a*", "-name", "x")),
        ("explore", Call("unknown", {})),
        ("bash", ran("grep", "-rn", "a\nb", ".")),
    ],
)
def test_what_a_vocabulary_cannot_say_is_none(vocabulary: str, call: Call) -> None:
    assert VOCABULARIES[vocabulary].spoken(call) is None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (ran("grep", "-rn", "a\\.b", "."), ran("grep", "-rnF", "a.b", ".")),
        (ran("grep", "-rnE", "a|b", "."), ran("grep", "-rn", "a\\|b", ".")),
        (ran("grep", "-rnw", "x", "."), ran("grep", "-rn", "\\bx\\b", ".")),
        (ran("grep", "-rc", "x", "a.py"), ran("grep", "-c", "x", "a.py")),
    ],
)
def test_searches_that_find_the_same_are_normal_alike(one: Call, other: Call) -> None:
    assert normal(one) == normal(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (ran("grep", "-rn", "a.b", "."), ran("grep", "-rnF", "a.b", ".")),
        (ran("grep", "-rn", "x", "."), ran("grep", "-rni", "x", ".")),
        (ran("grep", "-rn", "x", "."), ran("grep", "-rl", "x", ".")),
        (ran("grep", "-rn", "x", "."), ran("grep", "-r", "x", ".")),
        (ran("grep", "-rn", "x", "."), ran("grep", "-rn", "--include=*.py", "x", ".")),
        (ran("grep", "-rnA1", "x", "."), ran("grep", "-rnA2", "x", ".")),
        (ran("grep", "-rnw", ".*", "."), ran("grep", "-rn", ".*", ".")),
    ],
)
def test_searches_that_find_something_else_are_not(one: Call, other: Call) -> None:
    assert normal(one) != normal(other)
