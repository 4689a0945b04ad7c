"""Files of vocabularies: what is wrong with one is said, and what is right is found again by its tools."""

import re
from pathlib import Path

import pytest

from distill.errors import QuestionError
from distill.vocabularies import EXPLORE, Vocabularies, load_vocabularies
from router.chat import FunctionSpec, Tool
from tests.distill.vocabularies.asking import DATA, VOCABULARIES

GOOD = """like = "Somebody's agent"
error = "Failed: {text}"

[[tool]]
name = "look"
description = "Looks for something."
form = "search"
says = { what = "pattern", where = "path" }
[tool.parameters]
type = "object"
required = ["what"]
[tool.parameters.properties]
what = { type = "string" }
where = { type = "string" }
[tool.result.matches]
row = "{path}({line}): {text}"
nothing = "nothing"
"""


def load(folder: Path, text: str, name: str = "mine") -> None:
    (folder / f"{name}.toml").write_text(text)
    load_vocabularies(folder)


def test_a_good_file_is_a_vocabulary(tmp_path: Path) -> None:
    load(tmp_path, GOOD)
    found = load_vocabularies(tmp_path)
    assert set(found) == {"explore", "mine"}
    assert found["mine"].like == "Somebody's agent"
    assert [tool.function.name for tool in found["mine"].specs] == ["look"]


@pytest.mark.parametrize(
    ("before", "after", "fault"),
    [
        ('error = "Failed: {text}"', "", "required field `error`"),
        ("{text}", "{said}", "error has to hold {text} once"),
        ('error = "Failed: {text}"', 'error = "{text} {text}"', "error has to hold {text} once"),
        ("like", "alike", "unknown field"),
        ('form = "search"', 'form = "searching"', "there is no form 'searching'; there are search, find"),
        ('description = "Looks for something."', 'description = " "', "it has no description"),
        ('where = "path" }', 'where = "folder" }', "'where' says 'folder', which the form search has not"),
        ('where = "path" }', 'there = "path" }', "it says something by 'there', which is not among its parameters"),
        ('where = "path" }', 'where = "pattern" }', "two arguments say the same"),
        ('what = "pattern", ', "", "nothing says 'pattern', which the form search needs"),
        ('required = ["what"]', 'required = ["what", "why"]', "'why' is required and nothing says what it means"),
        ("[tool.parameters]", "unsaid = { limit = 'x' }\n[tool.parameters]", "unsaid 'limit' is no slot"),
        ("[tool.parameters]", "always = { sure = true }\n[tool.parameters]", "'sure' is always said"),
        ("[tool.parameters]", 'around = "x"\n[tool.parameters]', "around has to hold {text} once"),
        ('"{path}({line}): {text}"', '"{path}: {text}"', "result.matches: row and group have to hold line, path, text"),
        ('"{path}({line}): {text}"', '"{path}{line}{text}"', "result.matches: what it prints cannot be read again"),
        ('"{path}({line}): {text}"', '"{path:{line} {text}"', "result.matches: "),
        ('"{path}({line}): {text}"', '"{path}\\n{line}: {text}"', "each form is one line"),
        ("result.matches", "result.things", "'things'"),
        ('what = { type = "string" }', 'what = { type = "integer" }', "do not fit its schema"),
        ("like", "]", "Invalid"),
    ],
)
def test_what_is_wrong_is_said_with_the_file(before: str, after: str, fault: str, tmp_path: Path) -> None:
    assert before in GOOD
    with pytest.raises(QuestionError, match=rf"mine\.toml: .*{re.escape(fault)}"):
        load(tmp_path, GOOD.replace(before, after, 1))


def test_two_tools_of_one_name_and_two_vocabularies_of_the_same_tools_are_refused(tmp_path: Path) -> None:
    with pytest.raises(QuestionError, match="no two of one name"):
        load(tmp_path, GOOD + GOOD[GOOD.index("[[tool]]") :])
    load(tmp_path, GOOD)
    with pytest.raises(QuestionError, match=r"other\.toml: its tools are those of mine"):
        load(tmp_path, GOOD, "other")


def test_the_own_vocabulary_has_no_file(tmp_path: Path) -> None:
    with pytest.raises(QuestionError, match="has no file"):
        load(tmp_path, GOOD, "explore")


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(QuestionError, match=r"mine\.toml"):
        load_vocabularies(tmp_path)


def test_a_vocabulary_is_known_by_its_tools_among_others() -> None:
    known = Vocabularies(VOCABULARIES.values())
    strange = Tool(FunctionSpec("todo", "Notes.", {"type": "object", "properties": {"text": {"type": "string"}}}))
    for vocabulary in VOCABULARIES.values():
        assert known.of([strange, *vocabulary.specs]) is vocabulary
        assert known.of(vocabulary.specs[-1:]) is vocabulary
    assert known.of([strange]) is EXPLORE
    assert known.of(None) is EXPLORE


def test_there_are_at_least_six_and_the_page_names_them() -> None:
    page = (DATA.parent / "docs" / "vocabularies.md").read_text(encoding="utf-8")
    assert len(VOCABULARIES) >= 6
    for name, vocabulary in VOCABULARIES.items():
        (row,) = re.findall(rf"^\| `{name}` \|.*$", page, re.MULTILINE)
        assert all(f"`{tool.function.name}`" in row for tool in vocabulary.specs)
    for slot in {slot for tool in VOCABULARIES["claude"].tools for slot in tool.meaning.slots}:
        assert f"`{slot}`" in page
