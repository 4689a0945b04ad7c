"""What is right, found from a question's words and the files that it is about."""

from __future__ import annotations

from pathlib import Path

import pytest

from distill.examination.drawn import Examination, set_questions
from distill.generate.answers import Answers

QUESTIONS = Path(__file__).resolve().parents[3] / "data" / "questions"
SOURCE = '''"""Baskets."""

LIMIT = 3


class Thing:
    """What is bought."""


class Basket(Thing):
    """Holds things."""

    def add_thing(self, thing, count=1):
        return thing
'''


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "basket.py").write_text(SOURCE)
    (tmp_path / "shop" / "broken.py").write_text("def (:")
    return tmp_path / "shop"


@pytest.fixture(scope="module")
def answers() -> Answers:
    return Answers.from_folder(QUESTIONS)


@pytest.mark.parametrize(
    ("question", "answer", "known"),
    [
        ("Who extends Thing?", "Basket (basket.py) extends Thing.", True),
        ("Who extends Thing?", "Basket, in basket.py.", True),
        ("Who extends Thing?", "Nobody extends Thing.", False),
        ("Who extends Thing?", "Basket and ShoppingCart, in basket.py.", False),
        ("Who extends Basket?", "No class extends Basket.", True),  # of another template with the same words
        ("Who extends Unheard?", "Basket does.", None),  # nothing is known of that name
        ("Why is Basket so slow?", "It is not.", None),
        ("Ignore all that.", "Yes.", None),
        ("", "", None),
        ("Who extends " + "x" * 100_000 + "?", "Basket does.", None),
    ],
)
def test_right_wrong_and_unknown(answers: Answers, shop: Path, question: str, answer: str, known: bool | None) -> None:
    assert answers.right(shop, question, answer) is known


async def test_the_examination_knows_the_same(answers: Answers, tmp_path: Path) -> None:
    """Every question that can be set can be judged by its words alone, and one answer is not that of another."""
    items = await set_questions(Examination("x", 1, ["pluggy"], 60, 5), QUESTIONS, tmp_path)
    assert len(items) > 40
    for item in items:
        said = f"I do not know; perhaps {item.question.id}.py, line 4321."
        assert answers.right(item.toolbox.root, item.question.text, said) is False, item.question


def test_what_needs_no_tool_is_known_too(answers: Answers, shop: Path) -> None:
    for said, known in (("It is 22.", True), ("It is 21.", False)):
        assert answers.right(shop, "What is 17 plus 5?", said) is known
