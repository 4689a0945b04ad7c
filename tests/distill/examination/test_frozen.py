"""Frozen examinations: made the same each time, read with every check, and asked only about their own files."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from distill.errors import ArchiveError, QuestionError
from distill.examination.archives import tree_of
from distill.examination.freeze import freeze, main
from distill.examination.frozen import ITEMS, FrozenExamination, FrozenItem, read_frozen, write_items
from distill.examination.items import passages
from distill.examination.setting import frozen_in, read_examination, set_questions
from distill.generate.question import Oracle, Question
from distill.generate.questions import SHARES, quotas
from distill.generate.templates import Call
from gateway.demo.story import DAY2, TAUGHT
from router.chat import Message
from tests.distill.examination.archived import definition, pinned, wheel

_CHECKOUT = Path(__file__).resolve().parents[3]
_TEMPLATES = _CHECKOUT / "data" / "questions"
_VOCABULARIES = _CHECKOUT / "data" / "vocabularies"
_SHIPPED = _CHECKOUT / "data" / "examinations"
_DRAWN = "[drawn]\nquestions = 16\nseed = 5\n"
_WRITTEN = """
[[item]]
name = "children"
repository = "shapes"
category = "search"
text = "What derives from Shape?"
plan = [{ name = "run_command", arguments = { command = "grep", args = ["-rn", "(Shape)", "."] } }]
oracle = { kind = "names", value = ["Square", "Circle"] }
"""


@pytest.fixture
def repositories(tmp_path: Path) -> Path:
    return tmp_path / "repositories"


@pytest.fixture
def folder(tmp_path: Path, repositories: Path) -> Path:
    """A definition over one small archive, with a written item, not frozen yet."""
    archive = pinned(wheel(repositories))
    made = tmp_path / "small"
    made.mkdir()
    text = definition(msgspec.structs.replace(archive, tree=tree_of(archive, repositories)), _DRAWN)
    (made / "examination.toml").write_text(text)
    (made / "written.toml").write_text(_WRITTEN)
    return made


@pytest.fixture
async def frozen(folder: Path, repositories: Path) -> FrozenExamination:
    await freeze(folder, _TEMPLATES, _VOCABULARIES, repositories)
    return read_frozen(folder)


async def test_items_are_the_same_each_time_they_are_made(folder: Path, repositories: Path, tmp_path: Path) -> None:
    items = await freeze(folder, _TEMPLATES, _VOCABULARIES, repositories)
    first = (folder / ITEMS).read_bytes()
    assert len(items) == 17
    wheel(tmp_path / "elsewhere")
    await freeze(folder, _TEMPLATES, _VOCABULARIES, tmp_path / "elsewhere")
    assert (folder / ITEMS).read_bytes() == first
    assert Counter(item.question.category for item in items)["negative"] >= 2
    assert len({item.question.vocabulary for item in items}) > 3


async def test_items_are_set_with_tools_on_their_own_files(frozen: FrozenExamination, repositories: Path) -> None:
    items = await set_questions(frozen, _TEMPLATES, repositories)
    assert [item.question for item in items] == [item.question for item in frozen.items]
    toolbox = items[0].toolbox
    assert toolbox.root.name == "shapes"  # what the gateway is told, and what is reserved
    assert toolbox.version == frozen.items[0].tree
    assert frozen.repositories == ["shapes"]
    call = items[0].question.plan[0]
    assert "class Square(Shape):" in await toolbox.call(call.name, json.dumps(call.arguments))


async def test_changed_files_refuse_the_examination(frozen: FrozenExamination, repositories: Path) -> None:
    (items, *_) = await set_questions(frozen, _TEMPLATES, repositories)
    (items.toolbox.root / "flat.py").write_text("class Square: ...\n")
    with pytest.raises(ArchiveError, match="nothing is scored"):
        await set_questions(frozen, _TEMPLATES, repositories)


async def test_templates_may_change_afterwards(frozen: FrozenExamination, folder: Path, repositories: Path) -> None:
    kept = await set_questions(read_frozen(folder), folder / "no-templates-here", repositories)
    assert [item.question.text for item in kept] == [item.question.text for item in frozen.items]


async def test_what_is_asked_is_kept_out_of_datasets(frozen: FrozenExamination) -> None:
    said = (Message("user", "Before?"), Message("assistant", "It was so."))
    known = passages([*frozen.items, FrozenItem(frozen.items[0].question, frozen.items[0].tree, said)])
    assert ("What derives from Shape?", "Square Circle") in {(one.question, one.answer) for one in known}
    assert ("Before?", "It was so.") in {(one.question, one.answer) for one in known}
    assert len(known) == len(frozen.items) + 2


async def test_a_night_takes_either_kind(frozen: FrozenExamination, folder: Path) -> None:
    read = read_examination(folder)
    assert isinstance(read, FrozenExamination)
    assert read.items == frozen.items
    assert read_examination(_SHIPPED / "demo.toml").repositories == ["litestar", "openai", "msgspec", "attr"]
    assert [one.name for one in frozen_in(folder.parent)] == ["small"]


def _main(folder: Path, repositories: Path) -> int:
    options = {"templates": _TEMPLATES, "vocabularies": _VOCABULARIES, "repositories": repositories}
    return main([str(folder), *(word for name, path in options.items() for word in (f"--{name}", str(path)))])


def _head(lines: list[str], **changes: object) -> list[str]:
    return [json.dumps({**json.loads(lines[0]), **changes}), *lines[1:]]


_EDITS: dict[str, Callable[[list[str]], list[str]]] = {
    "format": lambda lines: _head(lines, format=2),
    "version": lambda lines: _head(lines, version=2),
    "name": lambda lines: _head(lines, examination="other"),
    "line removed": lambda lines: [*lines[:3], *lines[4:]],
    "answer edited": lambda lines: [lines[0], lines[1].replace("Circle", "Circus"), *lines[2:]],
    "no head": lambda lines: lines[1:],
    "no json": lambda lines: [*lines[:2], "{", *lines[3:]],
    "nested": lambda lines: [*lines[:2], "[" * 10_000, *lines[3:]],
    "unknown oracle": lambda lines: [lines[0], lines[1].replace('"names"', '"guesses"'), *lines[2:]],
    "nothing": lambda lines: [],
}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("format", "format 2 is not known"),
        ("version", "it is small 2, examination.toml is small 1"),
        ("nothing", "items.jsonl"),
        ("name", "it is other 1"),
        ("line removed", "was changed after it was made"),
        ("answer edited", "changed after it was made"),
        ("no head", "items.jsonl"),
        ("no json", "items.jsonl"),
        ("nested", "items.jsonl"),
        ("unknown oracle", "guesses"),
    ],
)
@pytest.mark.usefixtures("frozen")
def test_edited_items_are_refused(folder: Path, change: str, said: str) -> None:
    lines = (folder / ITEMS).read_text().splitlines()
    (folder / ITEMS).write_text("".join(line + "\n" for line in _EDITS[change](lines)))
    with pytest.raises(QuestionError, match=said):
        read_frozen(folder)


@pytest.mark.usefixtures("frozen")
def test_an_edited_vocabulary_is_refused(folder: Path) -> None:
    file = next((folder / "vocabularies").glob("*.toml"))
    file.write_text(file.read_text() + "\n")
    with pytest.raises(QuestionError, match="a vocabulary was changed"):
        read_frozen(folder)


def test_items_that_do_not_fit_are_refused(folder: Path, frozen: FrozenExamination) -> None:
    item = frozen.items[0]
    elsewhere = msgspec.structs.replace(item, question=msgspec.structs.replace(item.question, repository="other"))
    for items, said in (
        ([], "no items"),
        ([item, item], "two items have the id"),
        ([elsewhere], "of which there is no archive"),
        ([msgspec.structs.replace(item, tree="0" * 64)], "made from other files of shapes"),
    ):
        write_items(folder, frozen.definition, items, _VOCABULARIES)
        with pytest.raises(QuestionError, match=said):
            read_frozen(folder)


async def test_items_of_unknown_templates_are_read(folder: Path, frozen: FrozenExamination) -> None:
    plan = [Call("read_file", {"path": "flat.py"})]
    asked = Question("x", "shapes", "search", "of-tomorrow", "What?", plan, Oracle("text", ("Shape",)))
    write_items(folder, frozen.definition, [FrozenItem(asked, frozen.items[0].tree)], _VOCABULARIES)
    assert read_frozen(folder).items[0].question == asked


async def test_items_in_a_vocabulary_that_cannot_say_them_are_refused(folder: Path, frozen: FrozenExamination) -> None:
    odd = Call("run_command", {"command": "grep", "args": ["-L", "-x", "-s", "Shape", "flat.py", "__init__.py"]})
    for vocabulary, plan, said in (
        ("claude", [odd], "cannot be said in 'claude'"),
        ("claude", [Call("read_file", {"path": "flat.py"})], ""),
    ):
        asked = Question("x", "shapes", "search", "t", "What?", plan, Oracle("text", ("Shape",)), vocabulary)
        write_items(folder, frozen.definition, [FrozenItem(asked, frozen.items[0].tree)], _VOCABULARIES)
        if said:
            with pytest.raises(QuestionError, match=said):
                read_frozen(folder)
        else:
            assert read_frozen(folder).items[0].question.vocabulary == vocabulary
    (folder / "vocabularies" / "claude.toml").unlink()
    with pytest.raises(QuestionError, match="a vocabulary was changed"):
        read_frozen(folder)


async def test_items_are_offered_the_tools_of_their_vocabulary(frozen: FrozenExamination, repositories: Path) -> None:
    for item in await set_questions(frozen, _TEMPLATES, repositories):
        names = {spec.function.name for spec in item.toolbox.specs}
        known = {tool.function.name for tool in frozen.vocabularies[item.question.vocabulary].specs}
        assert names <= known
        assert (names == known) == (not item.question.withheld)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("version = 1", "version = 'one'"),
        ("max_tokens = 99", "max_tokens = 0"),
        ('part = "shapes"', 'part = "../shapes"'),
        ("seed = 5", "sed = 5"),
        ("[[archive]]", "[archive]"),
    ],
)
def test_a_damaged_definition_is_said(folder: Path, old: str, new: str) -> None:
    path = folder / "examination.toml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(QuestionError, match=r"examination\.toml"):
        read_frozen(folder)
    path.write_text(text + text[text.index("[[archive]]") :])
    with pytest.raises(QuestionError, match="two archives called 'shapes'"):
        read_frozen(folder)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('repository = "shapes"', 'repository = "forms"', "no archive of 'forms'"),
        ('category = "search"', 'category = "negative"', "a negative has no plan"),
        ('category = "search"', 'category = "finding"', "children"),
        ('"Circle"', '"Triangle"', "the planned calls do not show the answer"),
        ('"(Shape)"', '"(Form)"', "the planned calls do not show the answer"),
        ("name = ", "nam = ", r"written\.toml"),
    ],
)
def test_written_items_that_make_no_sense_are_said(
    folder: Path, repositories: Path, old: str, new: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = folder / "written.toml"
    path.write_text(path.read_text().replace(old, new, 1))
    assert _main(folder, repositories) == 1
    told = capsys.readouterr()
    assert not (folder / ITEMS).exists()
    assert re.search(said, told.err)


def test_the_command_tells_what_it_made(folder: Path, repositories: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _main(folder, repositories) == 0
    assert "small 1: 17 items" in capsys.readouterr().out
    path = folder / "examination.toml"
    path.write_text(path.read_text().replace('tree = "', 'tree = "0000'))
    assert _main(folder, repositories) == 1
    assert "no digest of its files" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["quick", "autonomous", "full"])
def test_the_examinations_that_ship_are_whole(name: str) -> None:
    examination = read_frozen(_SHIPPED / name)
    assert examination.name == name
    assert all(
        archive.licence and archive.filename.endswith("none-any.whl") for archive in examination.definition.archive
    )
    asked = {item.question.repository for item in examination.items}
    assert asked == set(examination.repositories)


def test_the_full_one_is_as_large_as_its_bounds_need() -> None:
    full = read_frozen(_SHIPPED / "full")
    counts = Counter(item.question.category for item in full.items)
    assert len(full.items) >= 400
    assert len(full.repositories) >= 10
    assert set(counts) == set(SHARES)
    for category, wanted in quotas(len(full.items), SHARES).items():
        assert abs(counts[category] - wanted) <= 1
    vocabularies = Counter(item.question.vocabulary for item in full.items)
    assert 0.45 < vocabularies["explore"] / len(full.items) < 0.6
    assert len(vocabularies) >= 6
    assert len({(item.question.text, item.question.vocabulary) for item in full.items}) == len(full.items)
    assert len(read_frozen(_SHIPPED / "quick").items) == 5
    assert len(read_frozen(_SHIPPED / "autonomous").items) == 12


def test_nothing_that_is_examined_is_taught_by_the_demo() -> None:
    examined = {name for one in frozen_in(_SHIPPED) for name in one.repositories}
    assert not examined & {*TAUGHT, *DAY2}
