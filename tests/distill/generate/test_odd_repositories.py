"""What installed packages seldom have: binary files, odd names, files twice, and what does not parse."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from distill.facts import collect
from distill.generate.expert import Expert
from distill.generate.fills import FILLS, fillings
from distill.generate.oracle import right
from distill.generate.question import Question
from distill.generate.questions import generate
from distill.generate.templates import Template, load_templates
from distill.tools import Toolbox
from distill.vocabularies import EXPLORE
from router.chat import Message

pytestmark = pytest.mark.school

TEMPLATES = load_templates(Path(__file__).parents[3] / "data" / "questions")
EXPERT = Expert(TEMPLATES)
GARDEN = '''"""Beds and what grows in them."""


class GardenBed:
    """A bed."""


class HerbBed(GardenBed):
    """A bed of herbs."""

    def water(self, litres: int = 2) -> None:
        raise RuntimeError("there is no water left")
'''


@pytest.fixture
def garden(tmp_path: Path) -> Path:
    root = tmp_path / "garden"
    (root / "tools").mkdir(parents=True)
    (root / "empty").mkdir()
    (root / "beds.py").write_text(GARDEN)
    (root / "tools" / "spade.py").write_text("LENGTH = 12\n# größer, ñandú\n")
    (root / "notes.txt").write_text("one\n")
    (root / "tools" / "notes.txt").write_text("one\ntwo\n")
    (root / "odd näme, really.py").write_text("x = 1\ny = 2\n")
    (root / "with space.txt").write_text("a\nb\nc\n")
    (root / "seed.bin").write_bytes(b"\0\1\2")
    (root / "broken.py").write_text("def (:")
    return root


async def answered(question: Question, root: Path) -> str:
    toolbox = Toolbox(root).offering(EXPLORE, question.withheld)
    messages = [Message("user", question.text)]
    while (turn := EXPERT.answer(messages, toolbox.specs)).tool_calls:
        (call,) = turn.tool_calls
        json.loads(call.function.arguments)
        result = await toolbox.call(call.function.name, call.function.arguments)
        messages += [Message("assistant", None, turn.tool_calls), Message("tool", result, tool_call_id=call.id)]
    return turn.content or ""


@pytest.mark.parametrize(
    "name",
    [
        *("binary_file", "odd_name_lines", "twice_named", "opened_folder", "folder_as_file", "file_as_folder"),
        *("misplaced_lines", "wrong_case", "unicode_text", "forbidden", "outside", "message", "several_files"),
    ],
)
def test_every_kind_of_edge_is_asked_and_answered(name: str, garden: Path) -> None:
    (wanted,) = (template for template in TEMPLATES if template.name == name)
    chosen = [template for template in TEMPLATES if template.name in (name, wanted.of)]
    drawn = asyncio.run(generate(collect(garden), chosen, Toolbox(garden), 20, 1, shares={wanted.category: 1}))
    questions = [question for question in drawn if question.template == name]
    assert questions, name
    for question in questions:
        assert right(question, asyncio.run(answered(question, garden))), question


def test_nothing_is_asked_of_nothing(tmp_path: Path) -> None:
    (tmp_path / "bare").mkdir()
    facts = collect(tmp_path / "bare")
    needing = [
        template for template in TEMPLATES if template.calls and template.fill not in ("forbidden", "absent_modules")
    ]
    assert not [template.name for template in needing if [*fillings(facts, template)]]


def test_every_fill_is_used_and_gives_the_templates_slots(garden: Path) -> None:
    facts = collect(garden)
    assert {template.fill for template in TEMPLATES} == FILLS.keys()
    for template in TEMPLATES:
        for slots, _ in fillings(facts, template):
            assert slots.keys() == template.slots.keys(), template.name


def test_what_is_withheld_changes_what_is_right(garden: Path) -> None:
    whole = Template("t", "class_places", slots={"name": "name"}, phrasings=["{name}?"])
    without = Template("t", "class_places", slots={"name": "name"}, phrasings=["{name}?"], withheld=("run_command",))
    facts = collect(garden)
    assert {oracle.kind for _, oracle in fillings(facts, whole)} == {"places"}
    assert {oracle.kind for _, oracle in fillings(facts, without)} == {"unable"}
