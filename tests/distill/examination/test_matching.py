"""Calls compared with planned ones: the same, with the same result, with more in it, or another."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from distill.agent import Conversation, End
from distill.examination.marking import call_of
from distill.examination.matching import Comparer, Level, marked
from distill.generate.expert import arguments_text
from distill.generate.question import Oracle, Question
from distill.generate.templates import Call
from distill.tools import Limits, Toolbox
from distill.vocabularies import load_vocabularies
from router.chat import FunctionCall

_VOCABULARIES = Path(__file__).resolve().parents[3] / "data" / "vocabularies"

_FILES = {
    "src/shapes.py": "import decimal\n\n\nclass Shape:\n    def area(self):\n        return 0\n\n\n"
    "class Square(Shape):\n    def area(self):\n        return self.side ** 2\n",
    "src/lines.py": "from src.shapes import Shape\n\n\nclass Line(Shape):\n    pass\n",
    "src/sub/deep.py": "import decimal\n\nDEEP = 12\n",
    "tests/test_shapes.py": "from src.shapes import Square\n\n\ndef test_area():\n    assert Square\n",
    "docs/a-1-b.txt": "one: two\n3:four\nfive-6-seven\n",
    "README.md": "# Shapes\n\nNothing much.\n",
    "long.txt": "".join(f"row {number} of many\n" for number in range(1, 1201)),
    "empty.txt": "",
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("repository")
    for name, content in _FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    (folder / "picture.bin").write_bytes(b"\0\1\2" * 100)
    return folder


@pytest.fixture
def compared(root: Path) -> Comparer:
    return Comparer(Toolbox(root))


def said(text: str) -> Call:
    """ "grep -rn x ." is a command, "read_file path start lines" and "list_files path" are the other tools."""
    name, *words = text.split()
    if name == "read_file":
        return Call(name, {"path": words[0], **dict(zip(("start", "lines"), map(int, words[1:]), strict=False))})
    if name == "list_files":
        return Call(name, {"path": words[0]} if words else {})
    return Call("run_command", {"command": name, "args": [word.replace("~", " ") for word in words]})


E, Q, C, O = Level.EXACT, Level.EQUIVALENT, Level.COVERING, Level.OTHER  # noqa: E741
PAIRS = [  # "~" stands for a space inside of a word
    # spelling
    ("grep -rn Shape .", "grep -rn Shape .", E),
    ("grep -rn Shape .", "grep -r -n Shape .", E),
    ("grep -rn Shape .", "grep -nr Shape .", E),
    ("grep -rn Shape .", "grep -rn Shape", E),
    ("grep -rn Shape .", "grep -rn Shape ./", E),
    ("grep -rn Shape .", "grep --recursive --line-number Shape .", E),
    ("grep -rn Shape .", "grep Shape . -rn", E),
    ("grep -rn Shape .", "grep -rn -e Shape .", E),
    ("grep -rn Shape .", "grep -rn -- Shape .", E),
    ("grep -rn Shape .", "grep -rn --regexp=Shape .", E),
    ("grep -n area src/shapes.py", "grep -n area ./src/../src/shapes.py", E),
    ("grep -rnw Shape src", "grep -rn --word-regexp Shape src/", E),
    ("grep -rn --include=*.py Shape .", "grep -rn Shape --include *.py .", E),
    ("grep -rn -A 2 class .", "grep -rnA2 class .", E),
    ("grep -rn -m 1 class .", "grep -rn --max-count=1 class .", E),
    ("grep -n class src/shapes.py src/lines.py", "grep --line-number class ./src/shapes.py src/lines.py", E),
    ("read_file src/shapes.py", "read_file ./src/shapes.py 1 40", E),
    ("list_files .", "list_files", E),
    ("list_files src", "list_files src/", E),
    ("head -n 3 README.md", "head -3 README.md", E),
    ("head -n 3 README.md", "head -n3 README.md", E),
    ("head -n 3 README.md", "head --lines=3 README.md", E),
    ("head README.md", "head -n 10 README.md", E),
    ("wc -l README.md", "wc --lines ./README.md", E),
    ("ls src", "ls -1 src/", E),
    ("find . -name *.py", "find -name *.py", E),
    ("find src -name *.py", "find src/ -name *.py", E),
    # what patterns match, and where
    ("grep -rn class~Shape .", "grep -rnw class~Shape src", Q),
    ("grep -rn class~S[hq] .", "grep -rnE ^class~(Shape|Square) .", Q),
    ("grep -rn class .", "grep -rn ^class src", Q),
    ("grep -rn area .", "grep -rni AREA .", Q),
    ("grep -rn import~decimal .", "grep -rnE import\\s+decimal .", Q),
    ("grep -rn DEEP .", "grep -n DEEP src/sub/deep.py", Q),
    ("grep -rn DEEP .", "grep -nH DEEP src/sub/deep.py", Q),
    ("grep -rn \\*\\* .", "grep -rnF ** .", E),
    ("grep -rl import~decimal .", "grep -rlE import~+decimal src", Q),
    ("grep -c area src/shapes.py", "grep -cH area src/shapes.py", Q),
    ("grep -rn Shape src/lines.py", "grep -n Shape src/lines.py", E),
    ("grep -rn five docs", "grep -n five docs/a-1-b.txt", Q),
    # the same lines and entries by other tools
    ("read_file README.md", "cat README.md", Q),
    ("read_file README.md", "cat -n README.md", Q),
    ("read_file README.md 1 3", "head -n 3 README.md", Q),
    ("read_file README.md 2 2", "tail -n 2 README.md", Q),
    ("read_file src/shapes.py 9 3", "tail -n 3 src/shapes.py", Q),
    ("list_files src", "ls src", Q),
    ("list_files src", "find src -maxdepth 1", Q),
    ("list_files src", "find src -maxdepth 1 -mindepth 1", Q),
    ("find . -name *.py -type f", "find . -name *.py", Q),
    ("find src -name deep.py", "find . -name deep.py", Q),
    ("grep -rn Missing .", "grep -rnw Missing .", Q),
    ("grep -rn class~Missing .", "grep -rnE class\\s+Missing\\b .", Q),
    ("read_file missing.py", "cat missing.py", Q),
    ("read_file missing.py", "head -n 5 ./missing.py", Q),
    ("read_file picture.bin", "cat picture.bin", Q),
    ("read_file empty.txt", "cat empty.txt", Q),
    ("read_file README.md 500", "read_file README.md 500 9", Q),
    # more than was planned
    ("grep -rn class~Shape .", "grep -rn class .", C),
    ("grep -rn class~Shape .", "grep -rn -A 2 class~Shape .", C),
    ("grep -r class~Shape .", "grep -rn class~Shape .", C),
    ("grep -rl import~decimal .", "grep -rn import~decimal .", C),
    ("grep -n area src/shapes.py", "read_file src/shapes.py", O),  # what is shown does not say which lines they are
    ("read_file src/shapes.py 4 2", "read_file src/shapes.py", C),
    ("read_file src/shapes.py 4 2", "cat src/shapes.py", C),
    ("read_file src/shapes.py 4 2", "grep -n -A 3 class~Shape src/shapes.py", C),
    ("head -n 1 README.md", "cat README.md", C),
    ("list_files src", "find . -name *", C),
    ("list_files src", "ls -a src", Q),
    ("wc -l README.md", "wc README.md", C),
    ("find . -name deep.py", "find . -name *.py", C),
    ("find . -name deep.py", "list_files src/sub", Q),
    ("grep -rn class~Missing src", "grep -rn class~Missing .", C),
    ("grep -rn class~Missing .", "grep -rn Missing .", C),
    ("grep -rn class~Missing .", "grep -rn class .", C),
    # less, or another thing
    ("grep -rn class~Shape .", "grep -r class~Shape .", O),
    ("grep -rn class~Shape .", "grep -rl class~Shape .", O),
    ("grep -rn class .", "grep -rn class~Shape .", O),
    ("grep -rn class .", "grep -rn class tests", O),
    ("grep -rn Shape .", "grep -rnv Shape .", O),
    ("grep -rl import~decimal .", "grep -rl DEEP .", O),
    ("grep -c area src/shapes.py", "grep -c class src/shapes.py", O),  # both are 2, by chance
    ("grep -c area src/shapes.py", "grep -n area src/shapes.py", O),
    ("grep -rn Missing .", "grep -rn Absent .", O),
    ("grep -rn Missing .", "grep -rn Missing src", O),
    ("grep -rn Missing .", "grep -rn --include=*.md Missing .", O),
    ("grep -rn Missing .", "find . -name Missing", O),
    ("grep -rn Missing .", "list_files .", O),
    ("read_file missing.py", "cat absent.py", O),
    ("read_file missing.py", "read_file README.md", O),
    ("read_file README.md", "read_file README.md 1 1", O),
    ("read_file README.md", "read_file src/lines.py", O),
    ("read_file README.md", "wc README.md", O),
    ("read_file long.txt 900 5", "cat long.txt", O),  # it is cut long before
    ("read_file long.txt 2 5", "cat long.txt", C),
    ("list_files src", "list_files tests", O),
    ("list_files .", "ls -R .", O),
    ("wc -l README.md", "wc -w README.md", O),
    ("wc -l README.md", "cat README.md", O),
    ("find . -name *.py", "find src -name *.py", O),
    ("find . -name missing.py", "find . -name absent.py", O),
    ("grep -rn class~Shape .", "rm -rf .", O),
    ("grep -rn class~Shape .", "grep -rn class~Shape ../..", O),
    ("grep -rn class~Shape .", "grep --help", O),
]


@pytest.mark.parametrize(("planned", "made", "level"), PAIRS, ids=[f"{a} | {b}" for a, b, _ in PAIRS])
async def test_how_near_a_call_comes(compared: Comparer, planned: str, made: str, level: Level) -> None:
    assert await compared.level(said(planned), said(made)) is level
    back = await compared.level(said(made), said(planned))
    assert (back is level) if level >= Q else (back < Q)  # the same is the same both ways


def test_the_table_is_large_and_even() -> None:
    assert len(PAIRS) >= 60
    assert min(sum(level is kind for _, _, level in PAIRS) for kind in Level) >= 15


async def test_all_calls_of_the_table_are_compared_alike_both_ways(root: Path) -> None:
    """Every one with every one: each is itself, the same is the same both ways, and what is the same as the same is."""
    compared = Comparer(Toolbox(root))
    calls = {text: said(text) for text in sorted({text for pair in PAIRS for text in pair[:2]})}
    levels = {(a, b): await compared.level(calls[a], calls[b]) for a in calls for b in calls}
    alike = {pair for pair, level in levels.items() if level >= Q}
    assert all(levels[a, a] is E for a in calls)
    assert all(levels[a, b] is levels[b, a] for a, b in alike)
    assert not [(a, b, c) for a, b in alike for c in calls if (b, c) in alike and (a, c) not in alike]


_MANY = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@_MANY
@given(st.text(max_size=40), st.lists(st.text(max_size=20), max_size=5))
async def test_no_call_is_too_odd_to_compare(root: Path, name: str, words: list[str]) -> None:
    compared = Comparer(Toolbox(root))
    made = Call("run_command", {"command": name, "args": words})
    odd = Call(name, {"args": words, "command": 3, "path": words})
    nested = call_of(FunctionCall("read_file", "[" * 5000))
    for call in (made, odd, nested, Call("run_command", {"args": 7}), call_of(FunctionCall(name, name))):
        assert await compared.level(said("grep -rn class ."), call) is O


async def test_lines_that_look_like_places_are_lines(tmp_path: Path) -> None:
    odd = ["/etc/passwd:1:x", "../../up:2:x", "a" * 300 + ":3:x", "a.txt:4:x", ":5:x", "\u20ac-6-x", "x:\ud7ff:7:"]
    (tmp_path / "a.txt").write_text("\n".join(odd) + "\n")
    for call in ("grep -rn x .", "grep -n x a.txt", "grep -r x .", "grep -hn x a.txt", "grep -on x a.txt"):
        found = await Comparer(Toolbox(tmp_path)).whole(said(call))
        assert len(found.said) == len(odd)
        assert {sight.path for sight in found.said} <= {"a.txt", ""}
    read = await Comparer(Toolbox(tmp_path)).level(said("grep -rn x ."), said("grep -n x a.txt"))
    assert read is Q


@pytest.mark.parametrize("arguments", ['{"path": "\\ud800"}', "", "[]", '{"path": null}', "{" * 9])
async def test_no_arguments_are_too_odd(root: Path, arguments: str) -> None:
    made = Conversation("?", [], [FunctionCall("read_file", arguments)], end="answered")
    found = await marked(asked("list_files"), made, Toolbox(root))
    assert not found.covering


async def test_a_pattern_that_takes_forever_takes_no_longer_than_the_tools_may(root: Path) -> None:
    quick = Toolbox(root, Limits(seconds=2.0, cpu_seconds=2))
    bomb = Call("run_command", {"command": "grep", "args": ["-rnE", r"(((a|r)+)+ (.*)*)*\1\2\1(x+x+)+y", "."]})
    start = time.perf_counter()
    assert await Comparer(quick).level(said("grep -rn many long.txt"), bomb) is O
    assert time.perf_counter() - start < 10


def asked(*plan: str) -> Question:
    return Question("q", "repo", "search", "t", "?", [said(text) for text in plan], Oracle("words", ("x",)))


def told(*calls: str, end: End = "answered") -> Conversation:
    made = [said(text) for text in calls]
    functions = [FunctionCall(call.name, arguments_text(call.arguments)) for call in made]
    return Conversation("?", [], calls=functions, answer="x", end=end)


@pytest.mark.parametrize(
    ("plan", "calls", "exact", "equivalent", "covering"),
    [
        ([], [], True, True, True),
        ([], ["list_files"], False, False, False),
        (["grep -rn DEEP ."], [], False, False, False),
        (["grep -rn DEEP ."], ["grep -rn DEEP"], True, True, True),
        (["grep -rn DEEP ."], ["grep -rnw DEEP src"], False, True, True),
        (["grep -rn DEEP ."], ["list_files", "grep -rn DEEP ."], False, True, True),
        (["grep -rn DEEP ."], ["grep -rn 2 src"], False, False, True),
        (["grep -rn DEEP ."], ["grep -rn area ."], False, False, False),
        (["grep -rn DEEP .", "read_file README.md"], ["grep -rn DEEP .", "cat README.md"], False, True, True),
        (["grep -rn DEEP .", "read_file README.md"], ["cat README.md", "grep -rn DEEP ."], False, False, True),
        (["grep -rn DEEP .", "read_file README.md"], ["grep -rn DEEP ."], False, False, False),
        (["read_file long.txt 1 20"], ["read_file long.txt 1 10", "read_file long.txt 11 10"], False, False, True),
        (["grep -rn Missing .", "list_files src"], ["grep -rn Missing .", "ls src"], False, True, True),
    ],
)
async def test_a_run_of_calls(
    root: Path, plan: list[str], calls: list[str], exact: bool, equivalent: bool, covering: bool
) -> None:
    found = await marked(asked(*plan), told(*calls), Toolbox(root))
    assert (found.exact, found.equivalent, found.covering) == (exact, equivalent, covering)
    assert (found.calls, found.shortest, found.repeats) == (len(calls), len(plan), 0)


async def test_repeats_are_counted_by_what_they_mean(root: Path) -> None:
    found = await marked(asked("list_files"), told("list_files", "list_files .", end="repeated"), Toolbox(root))
    assert (found.calls, found.repeats) == (2, 2)
    assert not found.exact
    assert found.equivalent


async def test_an_endpoint_that_failed_chose_nothing(root: Path) -> None:
    found = await marked(asked(), told(end="error"), Toolbox(root))
    assert {found.exact, found.equivalent, found.covering} == {False}


async def test_a_mark_tells_results_from_spelling(root: Path) -> None:
    made = await marked(asked("grep -rn DEEP ."), told("list_files", "grep -rnw DEEP src"), Toolbox(root))
    assert (made.exact, made.equivalent, made.right) == (False, True, True)
    assert (made.calls, made.shortest) == (2, 1)


async def test_calls_of_other_vocabularies_are_compared_by_what_they_mean(root: Path) -> None:
    known = load_vocabularies(_VOCABULARIES)
    assert len(known) > 1
    for vocabulary in known.values():
        toolbox = Toolbox(root).offering(vocabulary)
        said_so = vocabulary.spoken(said("read_file src/shapes.py 1 40"))
        if said_so is None:
            continue
        spoken = FunctionCall(said_so.name, arguments_text(said_so.arguments))
        found = await marked(asked("cat src/shapes.py"), Conversation("?", [], [spoken], end="answered"), toolbox)
        assert (found.exact, found.equivalent) == (False, True), vocabulary.name
        unknown = FunctionCall("no_such_tool", "{}")
        found = await marked(asked("cat src/shapes.py"), Conversation("?", [], [unknown], end="answered"), toolbox)
        assert not found.covering
