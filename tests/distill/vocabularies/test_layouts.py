"""Whatever the exploring agent's tools find, printed in any vocabulary, is read again as what it was."""

import posixpath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distill.generate.templates import Call
from distill.reading import ERROR, NOTHING
from distill.vocabularies import Vocabulary
from tests.distill.vocabularies.asking import VOCABULARIES

PIECES = st.sampled_from(
    ["a", "Z", "1", "22", " ", "  ", ":", ": ", "|", " | ", "-", "/", ".", "Line ", "é", "\t", "\r", "{", "%"]
)
TEXTS = st.lists(PIECES, max_size=8).map("".join)
NAMES = st.from_regex(r"[a-z_]{1,6}(/[a-z][a-z0-9]{0,5}){0,2}\.[a-z]{1,3}", fullmatch=True)
NUMBERS = st.integers(1, 99999)
CUTS = st.one_of(st.none(), st.integers(1, 10**6))


def grep(letters: str, path: str = ".") -> Call:
    return Call("run_command", {"command": "grep", "args": [letters, "x", path]})


def comes_back(vocabulary: Vocabulary, call: Call, lines: list[str], cut: int | None) -> bool:
    said = vocabulary.spoken(call)
    if said is None:
        return True
    if cut is not None:
        lines = [*lines, f"[{cut} more characters not shown]"]
    result = "\n".join(lines)
    return vocabulary.read(said, vocabulary.shown(said, result)) == result


@pytest.mark.parametrize("name", VOCABULARIES)
@settings(max_examples=40, deadline=None)
@given(found=st.lists(st.tuples(NAMES, NUMBERS, TEXTS), min_size=1, max_size=6), cut=CUTS)
def test_matches(name: str, found: list[tuple[str, int, str]], cut: int | None) -> None:
    lines = [f"{path}:{number}:{text}" for path, number, text in found]
    assert comes_back(VOCABULARIES[name], grep("-rn"), lines, cut)
    alone = [f"{number}:{text}" for _, number, text in found]
    assert comes_back(VOCABULARIES[name], grep("-n", "v2/of.py"), alone, cut)


@pytest.mark.parametrize("name", VOCABULARIES)
@settings(max_examples=40, deadline=None)
@given(paths=st.lists(NAMES.map(posixpath.normpath), min_size=1, max_size=6), cut=CUTS, number=NUMBERS)
def test_paths_entries_and_counts(name: str, paths: list[str], cut: int | None, number: int) -> None:
    vocabulary = VOCABULARIES[name]
    assert comes_back(vocabulary, Call("run_command", {"command": "find", "args": [".", "-name", "x"]}), paths, cut)
    assert comes_back(vocabulary, grep("-rl"), paths, cut)
    assert comes_back(
        vocabulary, Call("list_files", {"path": "v2"}), [posixpath.basename(p) for p in paths] + ["a/"], cut
    )
    assert comes_back(vocabulary, grep("-rc"), [f"{path}:{number}" for path in paths], cut)
    assert comes_back(vocabulary, grep("-c", "v2/of.py"), [str(number)], None)


@pytest.mark.parametrize("name", VOCABULARIES)
@settings(max_examples=40, deadline=None)
@given(texts=st.lists(TEXTS.map(str.rstrip), min_size=1, max_size=5), start=NUMBERS, cut=CUTS)
def test_lines(name: str, texts: list[str], start: int, cut: int | None) -> None:
    lines = [f"{number}: {text}" for number, text in enumerate(texts, start)]
    call = Call("read_file", {"path": "v2/of.py", "start": start, "lines": len(texts)})
    assert comes_back(VOCABULARIES[name], call, lines, cut)


@pytest.mark.parametrize("name", VOCABULARIES)
@pytest.mark.parametrize(
    "call", [grep("-rn"), Call("read_file", {"path": "a", "start": 1, "lines": 2}), Call("list_files", {"path": "a"})]
)
@pytest.mark.parametrize("result", [NOTHING, ERROR + "no such file: a\nb", ERROR, ERROR + "x" * 9000])
def test_nothing_and_errors(name: str, call: Call, result: str) -> None:
    assert comes_back(VOCABULARIES[name], call, result.split("\n"), None)
