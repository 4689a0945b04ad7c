"""Sets of questions over several repositories: shares, spread, no two alike, the same set anywhere."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from distill.errors import QuestionError, RepositoryError
from distill.facts import Cache
from distill.generate.alike import ALIKE
from distill.generate.drawing import REPETITION, draw, shortfall
from distill.generate.question import Question
from distill.generate.repositories import snapshot
from distill.generate.templates import CATEGORIES, load_templates

pytestmark = pytest.mark.school

ROOT = Path(__file__).parents[3]
QUESTIONS = ROOT / "data" / "questions"
TEMPLATES = load_templates(QUESTIONS)
TOTAL = 400

_DRAWN_ELSEWHERE = """\
import asyncio, hashlib, sys
from pathlib import Path
import msgspec
from distill.generate.drawing import draw
from distill.generate.templates import load_templates
drawn = asyncio.run(draw([Path(name) for name in sys.argv[2:]], load_templates(Path(sys.argv[1])), 160, 3))
print(hashlib.sha256(msgspec.json.encode(drawn)).hexdigest())
"""


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("repositories")
    return [snapshot(name, folder) for name in ("jinja2", "click", "pluggy")]


@pytest.fixture(scope="module")
def drawn(roots: list[Path]) -> list[Question]:
    return asyncio.run(draw(roots, TEMPLATES, TOTAL, 3))


def test_every_category_has_its_share(drawn: list[Question]) -> None:
    assert Counter(one.category for one in drawn) == dict(zip(CATEGORIES, (100, 100, 100, 50, 50), strict=True))
    assert shortfall(drawn, TOTAL) == {}
    assert len({one.id for one in drawn}) == TOTAL


def test_every_repository_and_most_templates_are_asked(drawn: list[Question]) -> None:
    by_repository = Counter(one.repository for one in drawn)
    assert min(by_repository[name] for name in ("jinja2", "click", "pluggy")) > TOTAL / 4
    assert len({one.template for one in drawn}) > 0.6 * len(TEMPLATES)
    assert max(Counter((one.repository, one.template) for one in drawn).values()) <= REPETITION


def test_questions_take_up_to_six_calls(drawn: list[Question]) -> None:
    calls = Counter(len(one.plan) for one in drawn if one.category == "multi_step")
    assert {2, 3, 4, 5, 6} <= calls.keys()


def test_half_of_what_needs_no_tool_is_a_pair(drawn: list[Question]) -> None:
    by_id = {one.id: one for one in drawn}
    negatives = [one for one in drawn if one.category == "negative"]
    pairs = [(one, by_id[one.pair]) for one in negatives if one.pair]
    assert len(pairs) >= len(negatives) / 2
    for one, positive in pairs:
        assert positive.repository == one.repository
        assert positive.plan
        assert not positive.withheld
        assert set(re.findall(r"\w{3,}", one.text)) & set(re.findall(r"\w{3,}", positive.text))
    assert not [one for one in drawn if (one.category == "negative") == bool(one.plan)]
    assert any(one.withheld for one in negatives)


def _runs(text: str) -> set[str]:
    plain = text.lower()
    return {plain[at : at + 5] for at in range(max(1, len(plain) - 4))}


def test_no_two_questions_look_alike(drawn: list[Question]) -> None:
    """All pairs, without MinHash."""
    runs = [_runs(one.text) for one in drawn]
    near = [
        (drawn[i].text, drawn[j].text)
        for i in range(TOTAL)
        for j in range(i)
        if len(runs[i] & runs[j]) >= ALIKE * len(runs[i] | runs[j])
    ]
    assert near == []


def test_the_same_set_is_drawn_elsewhere(roots: list[Path]) -> None:
    """In processes of their own, in which sets have other orders."""
    command = [sys.executable, "-c", _DRAWN_ELSEWHERE, str(QUESTIONS), *map(str, roots)]
    said = {
        subprocess.run(
            command,
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }
    here = asyncio.run(draw(roots, TEMPLATES, 160, 3))
    assert said == {hashlib.sha256(msgspec.json.encode(here)).hexdigest()}


def test_kept_facts_draw_the_same_set(roots: list[Path], tmp_path: Path) -> None:
    first, *kept = (asyncio.run(draw(roots, TEMPLATES, 60, 3, facts_of=Cache(tmp_path).facts)) for _ in range(2))
    assert len(list(tmp_path.iterdir())) == len(roots)
    assert kept == [first] == [asyncio.run(draw(roots, TEMPLATES, 60, 3))]


def test_another_seed_draws_another_set(roots: list[Path]) -> None:
    first, second = (asyncio.run(draw(roots, TEMPLATES, 40, seed)) for seed in (1, 2))
    assert {one.text for one in first} != {one.text for one in second}


def test_what_is_excluded_is_not_asked(roots: list[Path], drawn: list[Question]) -> None:
    texts = {one.text for one in drawn}
    again = asyncio.run(draw(roots, TEMPLATES, 100, 3, exclude=texts))
    assert len(again) == 100
    assert not texts & {one.text for one in again}


def test_progress_is_told_for_each_question(roots: list[Path]) -> None:
    steps: list[int] = []
    found = asyncio.run(draw(roots, TEMPLATES, 30, 1, progress=lambda: steps.append(1)))
    assert len(steps) == len(found) == 30


def test_a_category_that_runs_dry_is_reported(tmp_path: Path) -> None:
    (tmp_path / "small").mkdir()
    (tmp_path / "small" / "one.py").write_text("VALUE = 12\n")
    found = asyncio.run(draw([tmp_path / "small"], TEMPLATES, 400, 1))
    missing = shortfall(found, 400)
    assert missing["search"] > 50
    assert sum(missing.values()) == 400 - len(found)


def test_shares_are_the_callers(roots: list[Path]) -> None:
    found = asyncio.run(draw(roots, TEMPLATES, 20, 1, shares={"search": 1, "negative": 1}))
    assert Counter(one.category for one in found) == {"search": 10, "negative": 10}


def test_two_repositories_of_one_name_and_a_missing_one_are_clear_errors(tmp_path: Path) -> None:
    (tmp_path / "a" / "x").mkdir(parents=True)
    (tmp_path / "b" / "x").mkdir(parents=True)
    with pytest.raises(QuestionError, match="same name"):
        asyncio.run(draw([tmp_path / "a" / "x", tmp_path / "b" / "x"], TEMPLATES, 4, 1))
    with pytest.raises(RepositoryError, match="nowhere"):
        asyncio.run(draw([tmp_path / "nowhere"], TEMPLATES, 4, 1))
