"""Odd files, names and patterns: what a call shows in any vocabulary is, read back, what the canonical call gives."""

import asyncio
import json
from pathlib import Path

import pytest

from distill.generate.templates import Call
from distill.tools import Limits, Toolbox
from tests.distill.vocabularies.asking import VOCABULARIES, ask

pytestmark = pytest.mark.school

TEXTS = [
    *("it's", '"quoted"', "$HOME", "a\\b", "x[0]", "f(*a)", "-dash", "ünï", "100%", "a|b", "^top", "end$", "{braces}"),
    *("`tick`", "a;b", "a&&b", "#hash", "~tilde", "!bang", "a:1:b", "plain words", "  indented", "<b>", "a->b", "{0}"),
]
LIMITS = Limits(output=3000)
NAMES = ["it's.py", "a b.txt", "ünï.py", "-dash.py", "x[0].py", "a:b.txt", "$x.py", "plain.py", "no_suffix", "2024"]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("odd")
    (root / "sub.d" / "deep").mkdir(parents=True)
    for name in NAMES:
        (root / name).write_text("".join(f"{text}\n" for text in TEXTS), encoding="utf-8")
        (root / "sub.d" / "deep" / name).write_text("class A:\r\n\x0c\n\tdef a(self): ...\n", encoding="utf-8")
    (root / "blob.bin").write_bytes(b"\0class A:\n")
    (root / "latin.py").write_bytes("é = 1\nclass A:\n".encode("latin-1"))
    (root / "empty.py").write_text("")
    (root / "long.txt").write_text("class A: " + "x" * 9000 + "\n" + "class A:\n" * 900)
    return root


def calls() -> list[Call]:
    def ran(program: str, *args: str) -> Call:
        return Call("run_command", {"command": program, "args": [*args]})

    files = [*NAMES, *(f"sub.d/deep/{name}" for name in NAMES), "blob.bin", "latin.py", "empty.py", "long.txt", "no.py"]
    made = [ran("grep", "-rnF", text, ".") for text in TEXTS[::2] if not text.startswith("-")]
    made += [ran("grep", "-rn", text, ".") for text in ("class A", "é", ".", "nowhere", "^class .*:", "a.b")]
    made += [ran("grep", "-rnw", text, ".") for text in ("class A", "def a", "words", "ünï")]
    made += [ran("grep", "-n", "class A", f"./{name}" if name[0] == "-" else name) for name in files]
    made += [ran("find", ".", "-name", name) for name in (*NAMES, "*.py", "no*", "deep")]
    made += [Call("read_file", {"path": name, "start": start, "lines": 3}) for name in files for start in (1, 2, 900)]
    made += [Call("list_files", {"path": path}) for path in (".", "sub.d", "sub.d/deep", "no", "plain.py", "..")]
    made += [ran("wc", "-l", "plain.py"), ran("grep", "-c", "class A", "long.txt")]
    made.append(ran("grep", "-rl", "class A", "."))
    return made


@pytest.fixture(scope="module")
def found(root: Path) -> list[tuple[Call, str]]:
    """The calls with what they give by the exploring agent's own tools."""
    own = Toolbox(root, LIMITS)

    async def results() -> list[str]:
        return [await own.call(call.name, json.dumps(call.arguments)) for call in calls()]

    return list(zip(calls(), asyncio.run(results()), strict=True))


@pytest.mark.parametrize("name", VOCABULARIES)
async def test_what_is_shown_says_what_was_found(name: str, root: Path, found: list[tuple[Call, str]]) -> None:
    vocabulary = VOCABULARIES[name]
    offered = Toolbox(root, LIMITS).offering(vocabulary)
    said = [(call, spoken, result) for call, result in found if (spoken := vocabulary.spoken(call)) is not None]
    assert len(said) > 0.85 * len(found)
    for call, spoken, result in said:
        shown = await offered.call(spoken.name, json.dumps(spoken.arguments))
        assert vocabulary.read(spoken, shown) == result, (call, spoken, shown)


@pytest.mark.parametrize("name", VOCABULARIES)
@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("What is the first line of blob.bin?", "blob.bin is a binary file."),
        ("What is the first line of empty.py?", "empty.py is empty."),
        ("What is the first line of ../secret.py?", "../secret.py is outside the repository, and I cannot read it."),
        ("What is the first line of no.py?", "There is no file no.py."),
    ],
)
async def test_what_cannot_be_read_is_said(name: str, question: str, answer: str, root: Path) -> None:
    assert (await ask(question, Toolbox(root).offering(VOCABULARIES[name]))).answer == answer
