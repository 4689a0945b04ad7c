"""Decisions under a certificate: whom it lets serve, what it is about, and what a draft has to promise."""

from __future__ import annotations

import msgspec
import pytest

from router.certificate import RULE, Certificate, Missing, Proven, Scope
from router.chat import (
    AnswerMessage,
    ChatRequest,
    Choice,
    EngineNote,
    FunctionCall,
    FunctionSpec,
    Message,
    Tool,
    ToolCall,
)
from router.economics import least_chance
from router.policy import Rules, after, before, released
from tests.router.test_score_and_policy import logprobs

TOOLS = [Tool(FunctionSpec("look", "", {"type": "object"})), Tool(FunctionSpec("write", "", {"type": "object"}))]
ASK = ChatRequest("nightschool", [Message("user", "Where is it?")], tools=TOOLS)
SCOPE = Scope("b" * 8, "a" * 8, "t" * 8, "big", RULE)
CERTIFICATE = Certificate(SCOPE, {"call": Proven(0.8, 200, 2, 300, 0.001)}, {"call": 0.05}, 0.05)
NOTE = EngineNote(model="b" * 8, adapter="a" * 8, template="t" * 8)
RULES = Rules(certificate=CERTIFICATE, holdout=0.0, confidence=0.2)


def call(name: str, probability: float) -> Choice:
    message = AnswerMessage(tool_calls=[ToolCall("1", FunctionCall(name, "{}"))])
    return Choice(message, "tool_calls", logprobs=logprobs((name, probability), ("{}", 1.0)))


def test_a_certificate_lets_the_student_try_and_serve() -> None:
    assert before(ASK, RULES, conversation="c") is None
    found = after(ASK, call("look", 0.9), RULES, note=NOTE)
    assert (found.arm, found.reason, found.certified, found.certificate) == (
        "student",
        "verified",
        True,
        CERTIFICATE.name,
    )
    assert (found.threshold, found.policy) == (0.8, RULE)


def test_below_its_threshold_the_teacher_answers() -> None:
    found = after(ASK, call("look", 0.7), RULES, note=NOTE)
    assert (found.arm, found.reason, found.certified) == ("teacher", "doubtful", False)


@pytest.mark.parametrize(
    "choice", [call("write", 0.99), Choice(AnswerMessage("Here."), "stop", logprobs=logprobs(("x", 0.99)))]
)
def test_a_group_that_earned_nothing_serves_nothing(choice: Choice) -> None:
    found = after(ASK, choice, RULES, note=NOTE)
    assert (found.arm, found.reason) == ("teacher", "uncertified")
    assert found.detail in ("destructive", "text")
    serving = msgspec.structs.replace(RULES, uncertified="serve")
    found = after(ASK, choice, serving, note=NOTE)
    assert (found.arm, found.certified, found.threshold) == ("student", False, 0.2)


@pytest.mark.parametrize("field", ["model", "adapter", "template"])
def test_another_student_is_not_certified(field: str) -> None:
    other = msgspec.structs.replace(NOTE, **{field: "other"})
    assert after(ASK, call("look", 0.99), RULES, note=other).reason == "uncertified"


def test_another_way_of_scoring_is_not_certified() -> None:
    class Other:
        name = "gates-1"

        def chance(self) -> float | None:
            return 0.1

        def score(self, choice: Choice) -> dict[str, float]:
            return {"confidence": 1.0}

    assert after(ASK, call("look", 0.99), RULES, look=Other(), note=NOTE).reason == "uncertified"


def test_a_draft_that_promises_too_little_is_not_made() -> None:
    rules = msgspec.structs.replace(RULES, worth=0.3)
    found = before(ASK, rules, conversation="c", chance=lambda: 0.2)
    assert found is not None
    assert (found.reason, found.scores, found.threshold) == ("unpromising", {"chance": 0.2}, 0.3)
    assert before(ASK, rules, conversation="c", chance=lambda: 0.4) is None
    assert before(ASK, rules, conversation="c", chance=lambda: None) is None


def test_the_chance_is_not_asked_for_where_it_does_not_matter() -> None:
    def never() -> float:
        raise AssertionError

    assert before(ASK, RULES, conversation="c", chance=never) is None
    assert before(ASK, Rules(worth=0.5), conversation="c", chance=never) is not None


def test_a_text_that_is_let_go_early_is_outside_the_guarantee() -> None:
    found = released(ASK, Choice(AnswerMessage("Here."), None, logprobs=logprobs(("x", 0.99))), RULES)
    assert found is not None
    assert not found.certified


@pytest.mark.parametrize(
    ("student", "teacher", "broken_off", "least"),
    [(1.0, 3.5, None, 0.286), (1.0, 3.5, 0.25, 0.091), (8.0, 93.0, None, 0.086), (4.0, 3.0, None, 4 / 3)],
)
def test_from_which_chance_a_draft_pays(student: float, teacher: float, broken_off: float | None, least: float) -> None:
    assert least_chance(student, teacher, broken_off) == pytest.approx(least, abs=0.001)


def test_a_student_that_is_slower_than_the_teacher_never_pays() -> None:
    assert least_chance(10.0, 3.0) > 1
    assert least_chance(10.0, 3.0, 1.0) > 1


def test_what_is_missing_comes_in_days() -> None:
    lacking = Missing(labels=100, accepted=50, errors=1, likely=250)
    assert lacking.more == 200
    assert lacking.days(5.0) == pytest.approx(20.0)
    assert lacking.days(0.0) is None
