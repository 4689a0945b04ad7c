"""Questions generated from real packages, and that the expert answers them rightly with the real tools."""

import json
from collections import Counter
from pathlib import Path

import pytest

from distill.errors import QuestionError
from distill.facts import Facts, collect
from distill.generate.expert import Expert
from distill.generate.oracle import exact_calls, right
from distill.generate.questions import RESULT_LIMIT, Question, generate
from distill.generate.repositories import snapshot
from distill.generate.templates import CATEGORIES, Call, Phrasebook, fill, load_templates
from distill.tools import Toolbox
from distill.vocabularies import EXPLORE
from router.chat import Message

pytestmark = pytest.mark.school

QUESTIONS = Path(__file__).parents[3] / "data" / "questions"
TEMPLATES = load_templates(QUESTIONS)
EXPERT = Expert(TEMPLATES)
LIMITS = {template.name: template.limit for template in TEMPLATES}


@pytest.fixture(scope="module", params=["jinja2", "rich", "click"])
def repository(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return snapshot(request.param, tmp_path_factory.mktemp("repositories"))


async def ask(question: Question, toolbox: Toolbox) -> tuple[list[Call], list[str], str]:
    """The expert's calls, their results, and its answer."""
    toolbox = toolbox.offering(EXPLORE, question.withheld) if question.withheld else toolbox
    messages = [Message("user", question.text)]
    calls: list[Call] = []
    results: list[str] = []
    while (turn := EXPERT.answer(messages, toolbox.specs)).tool_calls:
        (call,) = turn.tool_calls
        calls.append(Call(call.function.name, json.loads(call.function.arguments)))
        results.append(await toolbox.call(call.function.name, call.function.arguments))
        messages += [
            Message("assistant", None, turn.tool_calls),
            Message("tool", results[-1], tool_call_id=call.id),
        ]
    return calls, results, turn.content or ""


async def test_the_expert_answers_what_is_generated(repository: Path) -> None:
    toolbox = Toolbox(repository)
    questions = await generate(collect(repository), TEMPLATES, toolbox, 96, seed=7)
    assert len(questions) == 96
    assert Counter(question.category for question in questions) == dict(
        zip(CATEGORIES, (24, 24, 24, 12, 12), strict=True)
    )
    assert len({question.text for question in questions}) == 96
    answered = 0
    for question in questions:
        calls, results, answer = await ask(question, toolbox)
        assert exact_calls(question, calls), question
        answered += right(question, answer)
        assert len(answer) <= 300
        assert sum(map(len, results)) <= (LIMITS[question.template] or RESULT_LIMIT)
    assert answered >= 0.99 * len(questions)


async def test_the_same_seed_gives_the_same_questions(repository: Path) -> None:
    facts, toolbox = collect(repository), Toolbox(repository)
    first = await generate(facts, TEMPLATES, toolbox, 24, seed=1)
    assert await generate(facts, TEMPLATES, toolbox, 24, seed=1) == first
    other = await generate(facts, TEMPLATES, toolbox, 24, seed=2)
    assert {question.text for question in other} != {question.text for question in first}


async def test_excluded_texts_are_not_asked(repository: Path) -> None:
    facts, toolbox = collect(repository), Toolbox(repository)
    first = {question.text for question in await generate(facts, TEMPLATES, toolbox, 40, seed=1)}
    second = {question.text for question in await generate(facts, TEMPLATES, toolbox, 40, seed=1, exclude=first)}
    assert len(second) == 40
    assert not first & second


async def test_a_repository_with_little_gives_few_questions_not_wrong_ones(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text("VALUE = 12\n")
    questions = await generate(collect(tmp_path), TEMPLATES, Toolbox(tmp_path), 80, seed=1)
    assert 0 < len(questions) < 80
    for question in questions:
        assert right(question, (await ask(question, Toolbox(tmp_path)))[2])


def test_negative_questions_expect_no_call() -> None:
    assert not [template.name for template in TEMPLATES if (template.category == "negative") == template.calls]


def test_there_are_enough_templates_and_phrasings() -> None:
    own = [template for template in TEMPLATES if not template.of]
    assert len(own) >= 150
    assert {template.category for template in TEMPLATES} == set(CATEGORIES)
    assert not [template.name for template in own if len(set(template.phrasings)) < 6]


def test_every_phrasing_is_recognised_as_its_own_template() -> None:
    book = Phrasebook(TEMPLATES)
    values = {
        "name": "Some_name",
        "module": "a.b",
        "decorator": "a.b",
        "path": "a/b.py",
        "number": "12",
        "text": "x[0]",
        "code": "def f(a):\n    return a",
    }
    for template in TEMPLATES:
        slots = {name: values[kind] for name, kind in template.slots.items()}
        for phrasing in template.phrasings:
            found = book.recognise(fill(phrasing, slots))
            assert found is not None, phrasing
            assert (found.template.name, found.slots) == (template.of or template.name, slots), phrasing


def test_a_fill_nobody_wrote_is_a_clear_error(tmp_path: Path) -> None:
    import asyncio

    (template, *_) = TEMPLATES
    facts = Facts("r", [], {}, [], [], [], [], {}, 0)
    strange = [type(template)(name="x", fill="nowhere", category="search", phrasings=["What?"])]
    with pytest.raises(QuestionError, match="nowhere"):
        asyncio.run(generate(facts, strange, Toolbox(tmp_path), 1, 1))


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("[[template", "search.toml"),
        ("[[template]]\nname = 'a'", "fill"),
        ("[[template]]\nname = 'a'\nfill = 'items'\nphrasing = ['x']", "phrasing"),
        ("[[template]]\nname = 'a'\nfill = 'items'", "no phrasings"),
        ("[[template]]\nname = 'a'\nfill = 'items'\nof = 'b'", "'b'"),
        ("[[template]]\nname = 'a'\nfill = 'items'\nphrasings = ['{x}']", "slots"),
        (
            "[[template]]\nname = 'a'\nfill = 'items'\nphrasings = ['{x}']\nslots = { x = 'number', y = 'name' }",
            "slots",
        ),
        ("[[template]]\nname = 'a'\nfill = 'items'\nphrasings = ['{x}']\nslots = { x = 'colour' }", "colour"),
        (
            "[[template]]\nname = 'a'\nfill = 'items'\nphrasings = ['x']\n"
            "plan = [{ tool = 'list_files', arguments = {}, read = 'mind' }]",
            "mind",
        ),
        ("[[template]]\nname = 'sum'\nfill = 'items'\nphrasings = ['x']", "same name"),
    ],
)
def test_damaged_templates_are_a_clear_error(tmp_path: Path, content: str, complaint: str) -> None:
    for category in CATEGORIES:
        (tmp_path / f"{category}.toml").write_text((QUESTIONS / f"{category}.toml").read_text())
    (tmp_path / "search.toml").write_text(content)
    (tmp_path / "edge.toml").write_text("")
    with pytest.raises(QuestionError, match=complaint):
        load_templates(tmp_path)


def test_a_missing_folder_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(QuestionError, match=r"search\.toml"):
        load_templates(tmp_path / "nowhere")
