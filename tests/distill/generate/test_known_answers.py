"""What is right, found from a question's words and the files that it is about."""

from __future__ import annotations

from pathlib import Path

import pytest

from distill.examination.drawn import DrawnExamination, set_drawn
from distill.facts import Cache
from distill.generate.answers import Answers
from distill.tools import SPECS
from distill.vocabularies import load_vocabularies
from router.chat import FunctionSpec, Tool

QUESTIONS = Path(__file__).resolve().parents[3] / "data" / "questions"
VOCABULARIES = QUESTIONS.with_name("vocabularies")
ALL_VOCABULARIES = load_vocabularies(VOCABULARIES)
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
    return Answers.from_folder(QUESTIONS, VOCABULARIES)


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
    items = await set_drawn(DrawnExamination("x", 1, ["pluggy"], 60, 5), QUESTIONS, tmp_path)
    assert len(items) > 40
    for item in items:
        said = f"I do not know; perhaps {item.question.id}.py, line 4321."
        known = answers.right(item.toolbox.root, item.question.text, said, item.toolbox.specs)
        assert known is False, item.question
        category = answers.category(item.toolbox.root, item.question.text, item.toolbox.specs)
        assert category == item.question.category, item.question


def test_what_needs_no_tool_is_known_too(answers: Answers, shop: Path) -> None:
    for said, known in (("It is 22.", True), ("It is 21.", False)):
        assert answers.right(shop, "What is 17 plus 5?", said) is known


@pytest.mark.parametrize(
    ("offered", "there", "cannot"),
    [
        (None, True, False),
        ({"run_command", "read_file", "list_files"}, True, False),
        ({"read_file"}, True, False),  # a file can be read, so a patient agent finds the class
        ({"list_files"}, False, True),
        (set(), False, True),
    ],
)
def test_without_the_tools_the_right_answer_is_that_one_cannot_look(
    answers: Answers, shop: Path, offered: set[str] | None, there: bool, cannot: bool
) -> None:
    question = "Where does the class Basket live?"
    tools = None if offered is None else [tool for tool in SPECS if tool.function.name in offered]
    assert answers.right(shop, question, "It is in basket.py, line 10.", tools) is there
    assert answers.right(shop, question, "I cannot look: I have no tool for that.", tools) is cannot


@pytest.mark.parametrize("name", sorted(ALL_VOCABULARIES))
def test_the_tools_of_every_vocabulary_can_look(answers: Answers, shop: Path, name: str) -> None:
    question, vocabulary = "Where does the class Basket live?", ALL_VOCABULARIES[name]
    assert answers.right(shop, question, "It is in basket.py, line 10.", vocabulary.specs) is True
    assert answers.right(shop, question, "I cannot look.", vocabulary.specs) is False


def test_of_tools_that_nobody_knows_the_best_is_believed(answers: Answers, shop: Path) -> None:
    other = [Tool(FunctionSpec("ask_the_index", "Ask.", {"type": "object", "properties": {}}))]
    assert answers.right(shop, "Where does the class Basket live?", "It is in basket.py, line 10.", other) is True


def test_what_a_question_wants_is_known_by_its_words(answers: Answers, shop: Path) -> None:
    assert answers.needs_tool("Where does the class Basket live?") is True
    assert answers.needs_tool("What is 17 plus 5?") is False
    assert answers.needs_tool("Why is Basket so slow?") is None
    assert answers.category(shop, "Who extends Thing?", SPECS) == "search"
    assert answers.category(shop, "Who extends Basket?", SPECS) == "edge"
    assert answers.category(shop, "Who extends Thing?", []) == "negative"
    assert answers.category(None, "Who extends Basket?", SPECS) == "search"  # what is there is not at hand
    assert answers.category(shop, "Why is Basket so slow?", SPECS) is None


def test_code_in_the_question_is_what_counts(answers: Answers, shop: Path) -> None:
    question = '```python\nclass Basket(Thing):\n    """Holds things."""\n\n    def add_thing(self, thing, count=1):\n'
    question += "        return thing\n```\nWhat does Basket inherit from?"
    assert answers.right(shop, question, "Basket inherits from Thing.") is True
    assert answers.right(shop, question, "Basket inherits from Cart.") is False
    other = question.replace("class Basket(Thing)", "class Basket(Cart)")  # nobody's code: nothing is known of it
    assert answers.right(shop, other, "Basket inherits from Cart.") is None


def test_what_cannot_be_done_is_refused(answers: Answers, shop: Path) -> None:
    assert answers.right(shop, "Delete the file basket.py.", "I cannot delete files: my tools only read.") is True
    assert answers.right(shop, "Delete the file basket.py.", "Done.") is False


def test_of_files_that_changed_since_their_facts_were_kept_nothing_is_known(shop: Path, tmp_path: Path) -> None:
    cache = Cache(tmp_path / "facts")
    cache.facts(shop, "v")
    answers = Answers.from_folder(QUESTIONS, VOCABULARIES, lambda root: cache.facts(root, "v"))
    question = f"```python\n{SOURCE[SOURCE.index('class Basket') :]}```\nWhat does Basket inherit from?"
    (shop / "basket.py").write_text("")
    assert answers.right(shop, question, "Basket inherits from Thing.") is None
    (shop / "basket.py").write_text(SOURCE)
    again = Answers.from_folder(QUESTIONS, VOCABULARIES, lambda root: cache.facts(root, "v"))
    assert again.right(shop, question, "Basket inherits from Thing.") is True
