"""The page and the terminal's tables: well-formed, self-contained, calm about hostile and missing things."""

from __future__ import annotations

import io
import re
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from distill.agent import Conversation
from distill.examination.answers import Answered, answered
from distill.examination.arms import Arm
from distill.examination.items import Item
from distill.examination.marking import mark
from distill.examination.results import Circumstances, Result, result_of
from distill.examination.teaching import Sat
from distill.generate.question import Oracle, Question
from distill.generate.templates import Call
from distill.tools import Toolbox
from gateway.exam.endpoints import Behind, chosen
from gateway.exam.page import render
from gateway.exam.tables import tell
from router.chat import FunctionCall, Message
from tests.gateway.demo.test_report import HOSTILE, Page

CALL = Call("read_file", {"path": "a.py"})
NICE = HOSTILE.replace("\ud800", "")  # what JSON can hold


def items(folder: Path, count: int = 60) -> list[Item]:
    made = []
    for number in range(count):
        needed = number % 4 != 3
        category = ("search", "analysis", "multi_step", "negative")[number % 4]
        question = Question(
            id=f"q{number}",
            repository=("one", "two", "three")[number % 3],
            category=category,
            template=f"t{number % 7}",
            text=f"How many {number}? {NICE}",
            plan=[CALL] if needed else [],
            oracle=Oracle("number", (str(number),)),
        )
        made.append(Item(question, Toolbox(folder)))
    return made


def line(item: Item, right: bool, end: str = "answered", seconds: float = 1.5) -> Answered:
    calls = [FunctionCall("read_file", '{"path": "a.py"}')] if item.question.plan else []
    said = f"There are {item.question.oracle.value[0]}." if right else f"{NICE} 99999"
    messages = [Message("system", "s"), Message("user", item.question.text)]
    conversation = Conversation(
        item.question.text, messages, calls=calls, answer=said, seconds=seconds, error=NICE if end == "error" else ""
    )
    conversation.end = end  # type: ignore[assignment]
    return answered(item, mark(item.question, conversation, item.toolbox), conversation, 1)


def sheets(made: list[Item], wrong: dict[str, int], failed: dict[str, int]) -> dict[str, dict[str, Answered]]:
    """For each arm its first questions failed, and wrong the last."""
    return {
        label: {
            item.question.id: line(
                item,
                number < len(made) - count,
                "error" if number < failed.get(label, 0) else "answered",
                seconds=0.5 + 0.1 * (number % 50),
            )
            for number, item in enumerate(made)
        }
        for label, count in wrong.items()
    }


ARMS = [
    Arm("base", "base", NICE),
    Arm("prompt-only", "prompt", "m"),
    Arm("adapter", "adapter", "m-0a1b"),
    Arm("big", "teacher", "b", "http://h/v1"),
    Arm("down", "teacher", "d", "http://d/v1"),
]


@pytest.fixture
def told(tmp_path: Path) -> tuple[Result, dict[str, dict[str, Answered]]]:
    made = items(tmp_path)
    answers = sheets(made, {"base": 40, "prompt-only": 30, "adapter": 14, "big": 3, "down": 0}, {"base": 2, "down": 20})
    memory = {"base": 5 * 10**9, "adapter": 5 * 10**9, "big": 17 * 10**9}
    seen = Circumstances(Sat("x", 3, "d", len(made)), 4, 512, "2026-11-26T07:00:00+00:00", memory, [NICE])
    return result_of(made, ARMS, answers, seen), answers


def printed(result: Result, width: int = 160) -> str:
    out = io.StringIO()
    tell(result, Path("/somewhere"), Console(file=out, width=width, color_system=None))
    return out.getvalue()


def test_the_page_is_well_formed_and_fetches_nothing(told: tuple[Result, dict[str, dict[str, Answered]]]) -> None:
    page = render(*told)
    read = Page(page)
    tags = {tag for tag, _ in read.tags}
    assert tags.isdisjoint({"script", "img", "iframe", "object", "a", "form", "link"} - {"link"})
    assert {link["href"] for tag, link in read.tags if tag == "link"} == {"data:,"}
    inside = re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL)
    assert not re.search(r"(?:src|href)=\"(?!data:)", inside)
    assert not [key for _, pairs in read.tags for key in pairs if key.startswith("on")]
    assert "default-src 'none'" in page
    assert "<script" not in page


def test_the_page_tells_what_was_found(told: tuple[Result, dict[str, dict[str, Answered]]]) -> None:
    result, _ = told
    text = Page(render(*told)).text
    for words in (
        "adapter: 46 of 60 with success, 77 %",
        "Autonomous tool use",
        "> 80 %",
        "not known",
        "17.00 GB",
        "Compared question by question",
        "big against adapter",
        "wrong answer",
        "What would help adapter",
        "2 of 60",
        "3 questions were answered right by no arm",
        "20 of 60 questions",
        "one, three, two",
    ):
        assert words in text, words
    assert [one.scored for one in result.arms] == [True, True, True, True, False]
    assert len(result.doubtful) == 3


def test_every_row_and_arm_has_its_state(told: tuple[Result, dict[str, dict[str, Answered]]]) -> None:
    result, _ = told
    states = {row.key: {label: cell.state for label, cell in row.cells.items()} for row in result.rows}
    assert states["memory"] == {"base": "met", "prompt-only": "not known", "adapter": "met", "big": "not met"}
    assert states["tool"]["adapter"] == "met"
    assert states["right_answers"] == {
        "base": "not met",
        "prompt-only": "not met",
        "adapter": "not met",
        "big": "not shown",
    }


def test_the_terminal_shows_markup_as_text(told: tuple[Result, dict[str, dict[str, Answered]]]) -> None:
    text = printed(told[0])
    assert "[bold]&amp;" in " ".join(text.split())
    assert "The plan's four rows" in text
    assert text.index("The plan's four rows") < text.index("adapter: 46 of 60 with success")
    assert printed(told[0], 40)


def test_nobody_scored_and_nothing_answered(tmp_path: Path) -> None:
    made = items(tmp_path, 8)
    seen = Circumstances(Sat("x", 1, "d", 8), 1, 512, "now", {}, [])
    for answers in ({}, sheets(made, {"base": 0}, {"base": 8}), {"base": {}}):
        result = result_of(made, ARMS[:1], answers, seen)
        assert (result.student, result.decision) == ("", None)
        assert Page(render(result, answers)).text
        assert "No student was scored" in printed(result)


def test_the_result_survives_json(told: tuple[Result, dict[str, dict[str, Answered]]]) -> None:
    result = told[0]
    assert msgspec.json.decode(msgspec.json.encode(result), type=Result) == result
    keys = {"template", "category", "vocabulary", "cause", "question"}
    assert all(keys <= one.keys() for one in msgspec.to_builtins(result.failures))


BEHIND = Behind("qwen", "qwen-1", "big", {})


@pytest.mark.parametrize(
    ("named", "behind", "adapter", "expected"),
    [
        ([], BEHIND, "", ["base=qwen", "adapter=qwen-1", "teacher=big"]),
        ([], BEHIND, "qwen-2", ["base=qwen", "adapter=qwen-2", "teacher=big"]),
        ([], Behind("", "", "big", {}), "", ["teacher=big"]),
        ([Arm("t", "teacher", "m")], BEHIND, "", ["base=qwen", "adapter=qwen-1", "t=m"]),
        ([Arm("x", "other", "m")], BEHIND, "", ["base=qwen", "x=m"]),
        ([Arm("base", "base", "m")], BEHIND, "", ["base=m"]),
        ([Arm("x", "other", "m")], BEHIND, "qwen-2", ["base=qwen", "adapter=qwen-2", "x=m"]),
        ([Arm("x", "other", "m")], None, "", ["x=m"]),
    ],
)
def test_who_is_examined(named: list[Arm], behind: Behind | None, adapter: str, expected: list[str]) -> None:
    found, _ = chosen(named, behind, adapter)
    assert [f"{arm.label}={arm.model}" for arm in found] == expected
