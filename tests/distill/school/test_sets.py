"""Sets: the same inputs find the same set; failures make another; a set is whole or not there."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from distill.errors import QuestionError
from distill.generate.templates import load_templates
from distill.school.copies import Repository, copied
from distill.school.failures import Failed, Failure, read_failures, weights_of
from distill.school.sets import QUESTIONS, Inputs, QuestionSet, Sources, inputs_of, opened

ROOT = Path(__file__).resolve().parents[3]
SOURCES = Sources(ROOT / "data" / "questions", ROOT / "data" / "vocabularies")
FAILURES = [
    Failure("subclasses", "search", "explore", "wrong arguments"),
    Failure("subclasses", "search", "claude", "loop"),
    Failure("line_count", "analysis", "claude", "no call"),
]


@pytest.fixture(scope="module")
def repositories(tmp_path_factory: pytest.TempPathFactory) -> list[Repository]:
    return copied(["click", "pluggy"], tmp_path_factory.mktemp("copies"), frozenset())


def inputs(repositories: list[Repository], total: int = 40, seed: int = 1, failures: object = ()) -> Inputs:
    return inputs_of(repositories, SOURCES, total, seed, failures)  # type: ignore[arg-type]


async def drawn(repositories: list[Repository], made: Inputs, folder: Path) -> QuestionSet:
    return await opened(made, repositories, SOURCES, folder)


async def test_the_same_inputs_are_the_same_set(repositories: list[Repository], tmp_path: Path) -> None:
    first = await drawn(repositories, inputs(repositories), tmp_path / "a")
    steps: list[None] = []
    again = await opened(inputs(repositories), repositories, SOURCES, tmp_path / "a", lambda: steps.append(None))
    assert again == first
    assert not steps  # it was not drawn again
    elsewhere = await drawn(repositories, inputs(repositories), tmp_path / "b")
    assert (elsewhere.folder / QUESTIONS).read_bytes() == (first.folder / QUESTIONS).read_bytes()
    assert len({question.id for question in first.questions}) == 40
    assert len({question.vocabulary for question in first.questions}) > 2
    assert {question.repository for question in first.questions} == {"click", "pluggy"}


def test_other_inputs_are_another_set(repositories: list[Repository]) -> None:
    changed = [msgspec.structs.replace(repositories[0], digest="0" * 64), repositories[1]]
    every = [
        inputs(repositories),
        inputs(changed),
        inputs(repositories, total=41),
        inputs(repositories, seed=2),
        inputs(repositories, failures=FAILURES),
    ]
    assert len({one.name for one in every}) == len(every)


async def test_what_failed_is_asked_in_proportion(repositories: list[Repository], tmp_path: Path) -> None:
    chosen = await drawn(repositories, inputs(repositories, 30, failures=FAILURES), tmp_path)
    counts = Counter(question.template for question in chosen.questions)
    assert counts == {"subclasses": 20, "line_count": 10}
    assert {question.vocabulary for question in chosen.questions} == {"explore", "claude"}


def test_weights() -> None:
    templates = load_templates(SOURCES.templates)
    negative = {template.name for template in templates if template.category == "negative"}
    by_hand = [Failure("", "negative", "explore", "needless call"), Failure("subclasses", "search")]
    found = weights_of(by_hand, templates)
    assert found.keys() == negative | {"subclasses"}
    assert sum(found[name] for name in negative) == found["subclasses"]
    with pytest.raises(QuestionError, match="nothing failed"):
        weights_of([Failure("unheard", "of")], templates)


def test_results_of_examinations(tmp_path: Path) -> None:
    told = {"failures": [msgspec.to_builtins(one) for one in FAILURES], "repositories": ["shop"], "more": {"of": "it"}}
    told["failures"].append({"template": "subclasses", "category": "search", "cause": "endpoint error"})
    (tmp_path / "result.json").write_bytes(msgspec.json.encode(told))
    assert read_failures(tmp_path) == read_failures(tmp_path / "result.json") == Failed(FAILURES, ["shop"])
    for content in (
        b"",
        b"{}",
        b"[" * 100_000,
        b'{"failures": [1]}',
        b'{"failures": []}',
        b"\xff",
        b'{"failures": "\xff"}',
    ):
        (tmp_path / "result.json").write_bytes(content)
        with pytest.raises(QuestionError):
            read_failures(tmp_path)
    with pytest.raises(QuestionError):
        read_failures(tmp_path / "nowhere")


async def test_a_damaged_set_is_told(repositories: list[Repository], tmp_path: Path) -> None:
    first = await drawn(repositories, inputs(repositories, 10), tmp_path)
    for damage in (b'{"id": "x"}\n', b'{"id": "\xff"}\n'):
        (first.folder / QUESTIONS).write_bytes(damage)
        with pytest.raises(QuestionError, match="damaged"):
            await drawn(repositories, inputs(repositories, 10), tmp_path)
    shutil.rmtree(first.folder)
    assert await drawn(repositories, inputs(repositories, 10), tmp_path) == first


async def test_next_to_nothing_to_ask_about(tmp_path: Path) -> None:
    """One empty file: what needs no code is asked all the same, and the set is smaller than was wanted."""
    (tmp_path / "prose").mkdir()
    (tmp_path / "prose" / "a.txt").write_text("")
    repositories = copied([str(tmp_path / "prose")], tmp_path / "copies", frozenset())
    chosen = await drawn(repositories, inputs(repositories, 40), tmp_path / "sets")
    assert 0 < len(chosen.questions) < 40
    assert "negative" in {question.category for question in chosen.questions}
