"""Generated questions are answered rightly in every vocabulary that can say them, through the real tools."""

import asyncio
from pathlib import Path

import pytest

from distill.examination.marking import exact_calls
from distill.facts import collect
from distill.generate.oracle import right
from distill.generate.question import Question
from distill.generate.questions import generate
from distill.generate.repositories import snapshot
from distill.tools import Toolbox
from distill.vocabularies import normal
from distill.vocabularies.choosing import can_ask
from tests.distill.vocabularies.asking import TEMPLATES, VOCABULARIES, ask

pytestmark = pytest.mark.school


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return snapshot("click", tmp_path_factory.mktemp("repositories"))


@pytest.fixture(scope="module")
def questions(repository: Path) -> list[Question]:
    return asyncio.run(generate(collect(repository), TEMPLATES, Toolbox(repository), 64, seed=3))


@pytest.mark.parametrize("name", VOCABULARIES)
async def test_the_expert_answers_in_every_vocabulary(name: str, repository: Path, questions: list[Question]) -> None:
    vocabulary = VOCABULARIES[name]
    sayable = [question for question in questions if can_ask(vocabulary, question)]
    assert len(sayable) > 0.7 * len(questions)
    for question in sayable:
        toolbox = Toolbox(repository).offering(vocabulary, question.withheld)
        asked = await ask(question.text, toolbox)
        assert right(question, asked.answer), (question, asked)
        meant = [vocabulary.meant(call) for call in asked.calls]
        assert exact_calls(question, [call for call in meant if call is not None])
        for call, shown in zip(asked.calls, asked.results, strict=True):
            assert vocabulary.shown(call, vocabulary.read(call, shown)) == shown


@pytest.mark.parametrize("name", VOCABULARIES)
def test_what_is_said_means_the_same(name: str, questions: list[Question]) -> None:
    vocabulary = VOCABULARIES[name]
    planned = [call for question in questions for call in question.plan]
    said = [(call, spoken) for call in planned if (spoken := vocabulary.spoken(call)) is not None]
    assert said
    for call, spoken in said:
        meant = vocabulary.meant(spoken)
        assert meant is not None
        assert normal(meant) == normal(call)
