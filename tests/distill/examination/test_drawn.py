"""How conversations are marked, and that the examinations in the checkout can be set."""

from __future__ import annotations

from pathlib import Path

import pytest

from distill.agent import Conversation, End
from distill.errors import QuestionError
from distill.examination.drawn import DrawnExamination, read_drawn, set_drawn
from distill.examination.marking import mark
from distill.generate.question import Oracle, Question
from distill.generate.templates import Call
from distill.tools import Toolbox
from router.chat import FunctionCall

_CHECKOUT = Path(__file__).resolve().parents[3]
_EXAMINATIONS = sorted((_CHECKOUT / "data" / "examinations").glob("*.toml"))
_PLAN = [Call("read_file", {"path": "a.py"}), Call("run_command", {"command": "grep", "args": ["-n", "x", "a.py"]})]
_CALLS = [
    FunctionCall("read_file", '{"path": "./a.py", "start": 1}'),
    FunctionCall("run_command", '{"command":"grep","args":["-n","x","a.py"]}'),
]


def question(plan: list[Call] = _PLAN) -> Question:
    return Question("q1", "repo", "search", "t", "How many x?", plan, Oracle("number", ("7",)))


@pytest.fixture
def toolbox(tmp_path: Path) -> Toolbox:
    return Toolbox(tmp_path)


def told(calls: list[FunctionCall], answer: str = "There are 7.", end: End = "answered") -> Conversation:
    return Conversation("How many x?", [], calls=calls, answer=answer, end=end, seconds=1.5)


def test_the_expected_calls_and_the_right_answer(toolbox: Toolbox) -> None:
    made = mark(question(), told(_CALLS), toolbox)
    assert (made.needed, made.called, made.exact, made.right) == (True, True, True, True)
    assert (made.question, made.category, made.seconds) == ("q1", "search", 1.5)


@pytest.mark.parametrize(
    "calls",
    [
        [],
        _CALLS[:1],
        _CALLS[::-1],
        [*_CALLS, _CALLS[0]],
        [FunctionCall("read_file", '{"path": "b.py"}'), _CALLS[1]],
        [FunctionCall("read_file", "not json"), _CALLS[1]],
        [FunctionCall("read_file", '["a.py"]'), _CALLS[1]],
        [FunctionCall("read_file", '{"path": "a.py", "": ""}'), _CALLS[1]],
    ],
)
def test_other_calls_are_not_exact(toolbox: Toolbox, calls: list[FunctionCall]) -> None:
    made = mark(question(), told(calls), toolbox)
    assert not made.exact
    assert made.called == bool(calls)
    assert made.right  # the answer is judged by itself


def test_a_mark_says_how_it_went(toolbox: Toolbox) -> None:
    again = FunctionCall("read_file", '{"path": "a.py"}')
    made = mark(question(), told([*_CALLS, again], end="repeated"), toolbox)
    assert (made.calls, made.shortest, made.repeats, made.end) == (3, 2, 2, "repeated")
    assert (made.template, made.vocabulary, made.repository) == ("t", "explore", "repo")
    assert not made.equivalent
    assert mark(question(), told(_CALLS), toolbox).equivalent


def test_unknown_tools_are_no_tool_use(toolbox: Toolbox) -> None:
    made = mark(question(), told([FunctionCall("search_web", "{}")]), toolbox)
    assert not made.called
    assert not made.exact


def test_where_no_tool_is_needed_none_is_exact(toolbox: Toolbox) -> None:
    assert mark(question([]), told([]), toolbox).exact
    assert not mark(question([]), told([]), toolbox).needed
    needless = mark(question([]), told(_CALLS), toolbox)
    assert needless.called
    assert not needless.exact


@pytest.mark.parametrize("end", ["repeated", "too_many_calls", "empty", "cut", "error"])
def test_only_a_finished_answer_is_right(toolbox: Toolbox, end: End) -> None:
    assert not mark(question(), told(_CALLS, end=end), toolbox).right


@pytest.mark.parametrize(
    ("answer", "end", "credit"),
    [
        ("Basket and Cart.", "answered", 1.0),
        ("Only Basket.", "answered", 2 / 3),
        ("Nobody.", "answered", 0.0),
        ("Basket and Cart.", "cut", 0.0),
    ],
)
def test_part_of_a_set_has_part_of_the_credit(toolbox: Toolbox, answer: str, end: End, credit: float) -> None:
    asked = Question("q1", "repo", "search", "t", "Who extends Thing?", [], Oracle("names", ("Basket", "Cart")))
    assert mark(asked, told([], answer, end), toolbox).credit == pytest.approx(credit)


def test_an_endpoint_that_failed_chose_nothing(toolbox: Toolbox) -> None:
    made = mark(question([]), told([], "", "error"), toolbox)
    assert not made.exact
    assert not made.right


@pytest.mark.parametrize("answer", ["", "There are 8.", "7 or 8", "None."])
def test_a_wrong_answer_is_wrong(toolbox: Toolbox, answer: str) -> None:
    made = mark(question(), told(_CALLS, answer), toolbox)
    assert made.exact
    assert not made.right


def test_the_demos_examination_is_large_enough() -> None:
    demo = read_drawn(_CHECKOUT / "data" / "examinations" / "demo.toml")
    assert demo.name == "demo"
    assert demo.questions >= 90
    assert len(demo.repositories) >= 3


@pytest.mark.parametrize("path", _EXAMINATIONS, ids=lambda path: path.stem)
def test_every_examination_loads(path: Path) -> None:
    examination = read_drawn(path)
    assert examination.name == path.stem
    assert len(set(examination.repositories)) == len(examination.repositories)


@pytest.mark.parametrize(
    "content",
    ["", "name = ", "name = 3", 'name = "x"\nversion = 1\nrepositories = []\nquestions = "many"\nseed = 1', "\xff"],
)
def test_a_broken_examination_is_said(tmp_path: Path, content: str) -> None:
    path = tmp_path / "broken.toml"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(QuestionError, match=r"broken\.toml"):
        read_drawn(path)
    with pytest.raises(QuestionError, match=r"missing\.toml"):
        read_drawn(tmp_path / "missing.toml")


def test_an_unknown_setting_is_said(tmp_path: Path) -> None:
    path = tmp_path / "odd.toml"
    path.write_text('name = "x"\nversion = 1\nrepositories = ["a"]\nquestions = 1\nseed = 1\nsed = 2')
    with pytest.raises(QuestionError, match="sed"):
        read_drawn(path)


async def test_questions_are_the_same_each_time_shared_out_and_never_those_excluded(tmp_path: Path) -> None:
    small = DrawnExamination("small", 1, ["iniconfig", "pluggy"], questions=9, seed=3)  # pytest brings both
    templates = _CHECKOUT / "data" / "questions"
    first = await set_drawn(small, templates, tmp_path / "one")
    again = await set_drawn(small, templates, tmp_path / "two")
    assert [item.question for item in first] == [item.question for item in again]
    assert [item.question.repository for item in first] == ["iniconfig"] * 5 + ["pluggy"] * 4
    assert len({item.question.id for item in first}) == 9
    excluded = frozenset(item.question.text for item in first)
    others = await set_drawn(small, templates, tmp_path / "three", excluded)
    assert not excluded & {item.question.text for item in others}


async def test_a_history_of_answered_questions_stands_before_each(tmp_path: Path) -> None:
    asked = DrawnExamination("long", 1, ["click"], 4, 1, kinds=["class_defined", "line_count"], history=3)
    items = await set_drawn(asked, _CHECKOUT / "data" / "questions", tmp_path)
    assert len(items) == 4
    roles = [message.role for message in items[0].earlier]
    assert roles == ["user", "assistant", "tool", "assistant"] * 3
    assert all(item.earlier == items[0].earlier for item in items)
    before = {message.text for message in items[0].earlier if message.role == "user"}
    assert len(before) == 3
    assert not before & {item.question.text for item in items}


async def test_only_the_kinds_that_were_asked_for(tmp_path: Path) -> None:
    asked = DrawnExamination("kinds", 1, ["click"], 8, 1, kinds=["class_defined", "sum", "absent_class"])
    items = await set_drawn(asked, _CHECKOUT / "data" / "questions", tmp_path)
    assert {item.question.template for item in items} == {"class_defined", "sum", "absent_class"}


async def test_an_unknown_kind_is_said(tmp_path: Path) -> None:
    asked = DrawnExamination("kinds", 1, ["click"], 8, 1, kinds=["class_defind"])
    with pytest.raises(QuestionError, match="class_defind"):
        await set_drawn(asked, _CHECKOUT / "data" / "questions", tmp_path)
