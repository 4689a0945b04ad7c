"""Any canonical call that a vocabulary can say comes back as what it was; all that is said is understood or refused."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distill.errors import ToolError
from distill.generate.templates import Call
from distill.vocabularies import normal
from tests.distill.vocabularies.asking import VOCABULARIES

pytestmark = pytest.mark.school

WORDS = st.lists(
    st.sampled_from([*"ab .*^$()[]{}|+?\\-'\"/_1=@", "class ", "def", "\\(", "\\b", "[ab]", ".*"]), max_size=7
).map("".join)
PATHS = st.sampled_from([".", "a.py", "./a.py", "pkg", "pkg/b c.py", "pkg/x[0].py", "-x.py", "..", "/etc", "no/", "a*"])
FLAGS = st.lists(
    st.sampled_from(
        ["-r", "-n", "-rn", "-w", "-i", "-l", "-c", "-E", "-F", "-A2", "-B", "1", "--include=*.py", "-v", "--"]
    ),
    max_size=4,
)
GREPS = st.builds(lambda flags, *rest: ["grep", *flags, *rest], FLAGS, WORDS, PATHS)
FINDS = st.builds(
    lambda path, tests: ["find", path, *tests],
    PATHS,
    st.lists(st.sampled_from(["-name", "*.py", "b.py", "-type", "f", "d", "-maxdepth", "1", "x{a}"]), max_size=4),
)
OTHERS = st.sampled_from(
    [["wc", "-l", "a.py"], ["head", "-n", "3", "a.py"], ["ls", "-a"], ["ls"], ["cat", "a b", "c"], []]
)
COMMANDS = st.one_of(GREPS, FINDS, OTHERS).map(
    lambda words: Call("run_command", {"command": words[0], "args": words[1:]} if words else {})
)
READS = st.builds(
    lambda path, told: Call("read_file", {"path": path, **told}),
    PATHS,
    st.dictionaries(st.sampled_from(["start", "lines"]), st.integers(-1, 500)),
)
LISTS = st.builds(lambda path: Call("list_files", {"path": path}), PATHS)
VALUES = st.one_of(WORDS, PATHS, st.integers(), st.booleans(), st.none(), st.floats(allow_nan=False), st.lists(WORDS))


@pytest.mark.parametrize("name", VOCABULARIES)
@settings(max_examples=150, deadline=None)
@given(call=st.one_of(COMMANDS, READS, LISTS))
def test_what_can_be_said_means_the_same(name: str, call: Call) -> None:
    said = VOCABULARIES[name].spoken(call)
    if said is None:
        return
    meant = VOCABULARIES[name].meant(Call(said.name, json.loads(json.dumps(said.arguments))))
    assert meant is not None
    assert normal(meant) == normal(call)


@pytest.mark.parametrize("name", VOCABULARIES)
@pytest.mark.parametrize("words", ["-rl -A2 x .", "-rc -C 1 x .", r"-rn \def .", r"-rnE \D .", r"-rn a\t ."])
def test_what_grep_takes_otherwise_is_said_as_grep_takes_it_or_not_at_all(name: str, words: str) -> None:
    call = Call("run_command", {"command": "grep", "args": words.split()})
    said = VOCABULARIES[name].spoken(call)
    meant = VOCABULARIES[name].meant(said) if said is not None else call
    assert meant is not None
    assert normal(meant) == normal(call)


@pytest.mark.parametrize("name", [name for name in VOCABULARIES if name != "explore"])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_whatever_is_said_is_understood_or_refused(name: str, data: st.DataObject) -> None:
    vocabulary = VOCABULARIES[name]
    tool = data.draw(st.sampled_from(vocabulary.tools))
    given: dict[str, Any] = data.draw(st.dictionaries(st.sampled_from([*tool.says, "other"]), VALUES))
    try:
        call = vocabulary.wanted(tool.name, given).call
    except ToolError:
        return
    assert normal(call) == normal(Call(call.name, json.loads(json.dumps(call.arguments))))
