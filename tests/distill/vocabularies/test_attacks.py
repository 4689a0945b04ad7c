"""Nothing that a model says in any vocabulary gets it out of the folder, into a shell, or to another program."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from distill.generate.templates import Call
from distill.tools import Limits, Toolbox
from tests.distill.vocabularies.asking import VOCABULARIES

pytestmark = pytest.mark.school

SECRET = "the secret"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "repository"
    (root / "pkg").mkdir(parents=True)
    (root / "pkg" / "a.py").write_text("class A:\n    secretive = 1\n")
    (root / "linked.txt").symlink_to(tmp_path / "secret.txt")
    (root / "up").symlink_to(tmp_path)
    (tmp_path / "secret.txt").write_text(f"{SECRET}\n")
    os.mkfifo(root / "pipe")
    return root


def files_of(root: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(root.parent.rglob("*")) if path.is_file()}


OUTSIDE = ["../secret.txt", "/etc/passwd", "linked.txt", "up/secret.txt", "pkg/../../secret.txt", "..", "/", "up", "~"]
ODD = ["a\0b", "pkg\0/../../secret.txt", "pkg/a.py\n../secret.txt", "-f", "--include=*", "pipe", "\ud800", "x" * 5000]
LINES = [
    *("cat pkg/a.py; cat ../secret.txt", "cat pkg/a.py && cat ../secret.txt", "cat pkg/a.py | cat ../secret.txt"),
    *("cat pkg/a.py | sh", "cat $(echo ../secret.txt)", "cat `echo ../secret.txt`", "cat < ../secret.txt"),
    *("cat pkg/a.py > pkg/b.py", "cat pkg/a.py >> pkg/a.py", "cat pkg/a.py &", "cat pkg/a.py\ncat ../secret.txt"),
    *("HOME=/ cat secret.txt", "cat ~/secret.txt", "cat ${HOME}", "cat $HOME/secret.txt", "(cat ../secret.txt)"),
    *("bash -c 'cat ../secret.txt'", "sh -c id", "env cat ../secret.txt", "xargs cat", "sudo cat ../secret.txt"),
    *("sed -i s/A/B/ pkg/a.py", "sed -n '1e id' pkg/a.py", "sed -n '1w x' pkg/a.py", "sed -n 1p ../secret.txt"),
    *("sed -n -f x pkg/a.py", "sed -n 1p pkg/a.py ../secret.txt", "sed -n 1p -", "sed -n '1p;w x' pkg/a.py", "sed"),
    *("find . -delete", "find . -exec cat {} +", "find .. -name secret.txt", "find . -fprint x", "find -L . -name '*'"),
    *("find up/ -name secret.txt", "grep -r secret ..", "grep -f ../secret.txt x .", "grep -R 'the secret' ."),
    *(
        "grep -r 'the secret' up",
        "grep secret linked.txt",
        "ls ..",
        "ls -Ap ..",
        "ls -Ap up",
        "ls -Ap / ",
        "wc -l /etc/passwd",
    ),
    *(
        "head -c 20 ../secret.txt",
        "tail -f pkg/a.py",
        "cat ../*",
        "cat linked.txt",
        "cat up/*.txt",
        "cat {pkg/a.py,../secret.txt}",
    ),
    *(
        "cat pkg/a.py | head -n 1 | cat",
        "cat pkg/a.py | head -n 1 ../secret.txt",
        "cat pkg/a.py | head -c 5",
        "| head",
        "cat",
    ),
    *(
        "cat 'pkg/a.py",
        "rm pkg/a.py",
        "python -c 'print(1)'",
        "git log",
        "cat pkg/a.py # ../secret.txt",
        "",
        " ",
        ";",
        "'",
    ),
    *(
        "cat pkg/a.py\0",
        "cat\tpkg/a.py\r",
        "rg secret",
        "cd .. && cat secret.txt",
        "time cat x",
        "! cat x",
        "cat <(id)",
    ),
]
GLOBS = [
    *("../*", "/etc/*", "../**/*.txt", "**/../../*", "up/*", "up/**/*.txt", "{../secret.txt,pkg/a.py}", "{..,.}/*.txt"),
    *("linked.txt", "**/up/**", "[.][.]/*", ".\\./*", "\0", "*\n*", "{" * 50, "{a,b}" * 20, "**/" * 30 + "x", "/", ""),
]
PATTERNS = [
    "the secret",
    "(?i)the secret",
    "(",
    "[",
    "[]",
    "(?=x)",
    "\\1",
    "*",
    "a{99999}",
    "a\nb",
    "\0",
    "\\",
    "(a+)+$" * 50,
]


def hostile(schema: dict[str, Any]) -> list[dict[str, Any]]:
    """Calls that fill each parameter of a tool with everything hostile, the others with something plain."""
    properties = schema["properties"]
    plain = {name: _plain(name, told) for name, told in properties.items() if name in schema.get("required", ())}
    made: list[dict[str, Any]] = [{}, {"unknown": 1}, dict.fromkeys(properties)]
    for name, told in properties.items():
        if told["type"] == "string":
            texts = LINES if name == "command" else [*OUTSIDE, *ODD, *GLOBS, *PATTERNS]
            made += [plain | {name: text} for text in texts]
        elif told["type"] == "array":
            made += [plain | {name: ["bash", "-lc", line]} for line in LINES]
            made += [plain | {name: line.split()} for line in LINES]
            made += [
                plain | {name: words} for words in (["cat", "../secret.txt"], [], [""], ["cat", 1], "cat x", [["a"]])
            ]
        else:
            made += [plain | {name: value} for value in (-1, 10**30, 1.5, "x", [], {}, "-5", True, 1e300)]
    return made


def _plain(name: str, told: dict[str, Any]) -> Any:
    if told["type"] != "string":
        return {"array": ["ls"], "boolean": True, "integer": 1}[told["type"]]
    return {"command": "ls", "path": ".", "dir_path": "."}.get(name, "secret")


def tools() -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (name, tool.function.name, tool.function.parameters)
        for name, vocabulary in VOCABULARIES.items()
        for tool in vocabulary.specs
    ]


@pytest.mark.parametrize(("name", "tool", "schema"), tools(), ids=lambda value: value if isinstance(value, str) else "")
async def test_nothing_hostile_gets_out(name: str, tool: str, schema: dict[str, Any], root: Path) -> None:
    toolbox = Toolbox(root, Limits(seconds=5.0)).offering(VOCABULARIES[name])
    before = files_of(root)
    for given in hostile(schema):
        said = json.dumps(given)
        result = await toolbox.call(tool, said)
        told = {text for text in (*PATTERNS, *LINES) if SECRET in text}
        bare = result
        for text in sorted(told, key=len, reverse=True):
            bare = bare.replace(text, "")  # what it said itself
        assert SECRET not in bare, (given, result)
        assert "root:" not in result, (given, result)
    assert files_of(root) == before


@pytest.mark.parametrize("name", VOCABULARIES)
async def test_the_same_calls_show_what_is_inside(name: str, root: Path) -> None:
    """So that the attacks above could be seen to work, if they did."""
    (root / "inside.txt").write_text(f"{SECRET}\n")
    vocabulary = VOCABULARIES[name]
    planned = [
        Call("read_file", {"path": "inside.txt", "start": 1, "lines": 1}),
        Call("run_command", {"command": "grep", "args": ["-rn", SECRET, "."]}),
    ]
    for call in planned:
        said = vocabulary.spoken(call)
        assert said is not None
        assert SECRET in await Toolbox(root).offering(vocabulary).call(said.name, json.dumps(said.arguments))


@pytest.mark.parametrize("name", VOCABULARIES)
async def test_arguments_that_are_no_object_are_refused(name: str, root: Path) -> None:
    vocabulary = VOCABULARIES[name]
    toolbox = Toolbox(root).offering(vocabulary)
    before, after = vocabulary.error.split("{text}")
    tool = vocabulary.specs[0].function.name
    for said in ("[]", "1", "null", '"x"', "{", '{"a": ' + "[" * 100_000, "\0", '{"command": "\\ud800"}'):
        result = await toolbox.call(tool, said)
        assert result.startswith(before), (said, result)
        assert result.endswith(after)


@pytest.mark.parametrize("line", ["cat pkg/a.py; id", "cat $(id)", "cat x > y", "cat x | wc -l", "a && b"])
async def test_what_is_more_than_a_command_is_told_what_is_allowed(line: str, root: Path) -> None:
    result = await Toolbox(root).offering(VOCABULARIES["bash"]).call("bash", json.dumps({"command": line}))
    assert result.startswith("Error: allowed is one plain command (cat, find, grep, head, ls, tail, wc, or sed -n")
