from __future__ import annotations

import math
from typing import Any, get_args

import msgspec
import pytest

from router.certificate import RULE, Certificate, Proven, Scope
from router.chat import (
    AnswerMessage,
    ChatRequest,
    Choice,
    ChoiceLogprobs,
    FunctionCall,
    Message,
    TokenLogprob,
    ToolCall,
)
from router.decision import Decision, Reason
from router.policy import Rules, after, before, floor, in_holdout, may_stand_in
from router.score import BROKEN_OFF, scores

ASK = ChatRequest("nightschool", [Message("user", "Hi")])


def logprobs(*tokens: tuple[str, float]) -> ChoiceLogprobs:
    return ChoiceLogprobs([TokenLogprob(text, math.log(probability)) for text, probability in tokens])


def test_a_text_is_as_sure_as_its_tokens_are_on_average() -> None:
    found = scores(Choice(AnswerMessage("a b"), "stop", logprobs=logprobs(("a", 0.9), (" b", 0.4))))
    assert found["confidence"] == pytest.approx(0.6)
    assert found["min"] == pytest.approx(0.4)


def test_a_call_is_as_sure_as_its_least_sure_token_between_name_and_end() -> None:
    tokens = [
        ("<tool_call>", 0.2),
        ('{"name": "', 0.9),
        ("grep", 0.8),
        ('", "arguments": {"x": 1', 0.7),
        ("}}", 0.99),
        ("<", 0.3),
    ]
    call = ToolCall("c", FunctionCall("grep", '{"x": 1}'))
    found = scores(Choice(AnswerMessage(None, [call]), "tool_calls", logprobs=logprobs(*tokens)))
    assert found["confidence"] == pytest.approx(0.7)
    assert found["min"] == pytest.approx(0.2)


def test_without_log_probabilities_there_is_no_score() -> None:
    assert scores(Choice(AnswerMessage("a"), "stop")) == {}


def test_an_uncertified_student_serves_nothing_unless_the_settings_say_so() -> None:
    decision = before(ASK, Rules(holdout=0), conversation="c")
    assert decision is not None
    assert (decision.arm, decision.reason) == ("teacher", "uncertified")
    assert before(ASK, Rules(uncertified="serve", holdout=0), conversation="c") is None


def _certificate(**thresholds: float) -> Certificate:
    groups = {group: Proven(threshold, 100, 0, 200, 0.01) for group, threshold in thresholds.items()}
    return Certificate(Scope("base", "", "", "big", RULE), groups, {"call": 0.05}, 0.05)  # type: ignore[arg-type]


def test_below_the_floor_no_call_is_accepted_whatever_follows() -> None:
    assert floor(Rules(uncertified="serve", confidence=0.7), RULE) == 0.7
    assert floor(Rules(certificate=_certificate(call=0.9)), RULE) == 0.9
    assert floor(Rules(certificate=_certificate(call=0.9, destructive=0.99)), RULE) == 0.9
    assert floor(Rules(certificate=_certificate(call=0.9), uncertified="serve", confidence=0.7), RULE) == 0.7
    assert floor(Rules(certificate=_certificate(text=0.9)), RULE) == 0.0  # no call is, which its name says
    assert floor(Rules(certificate=_certificate(call=0.9)), "gates-1") == 0.0  # they look at the whole draft
    assert floor(Rules(answers="student", certificate=_certificate(call=0.9)), RULE) == 0.0


def test_a_call_that_was_broken_off_is_doubtful_and_has_a_score() -> None:
    broken = Choice(AnswerMessage("<tool_call>"), BROKEN_OFF, logprobs=logprobs(("<tool_call>", 0.9), ("read", 0.2)))
    decision = after(ASK, broken, Rules(uncertified="serve", confidence=0.7))
    assert (decision.arm, decision.reason, decision.detail) == ("teacher", "doubtful", "broken off")
    assert decision.scores["confidence"] == pytest.approx(0.2)
    assert decision.threshold == 0.7


def test_a_threshold_of_zero_lets_a_student_without_log_probabilities_serve() -> None:
    choice = Choice(AnswerMessage("a"), "stop")
    assert after(ASK, choice, Rules(confidence=0.5)).reason == "doubtful"
    assert after(ASK, choice, Rules(confidence=0)).arm == "student"


def test_what_does_not_fit_the_context_goes_to_the_teacher() -> None:
    decision = before(ASK, Rules(uncertified="serve", holdout=0, context=100), conversation="c", size=1000)
    assert decision is not None
    assert (decision.reason, decision.detail) == ("capability", "context")
    greedy = msgspec.structs.replace(ASK, max_tokens=64_000)  # as agents ask: no answer is that long
    assert before(greedy, Rules(uncertified="serve", holdout=0, context=100), conversation="c", size=200) is None


@pytest.mark.parametrize("more", [{"tool_choice": "required"}, {"response_format": {"type": "json_object"}}])
def test_forced_forms_are_the_students_where_it_has_a_grammar(more: dict[str, Any]) -> None:
    ask = msgspec.structs.replace(ASK, **more)
    decision = before(ask, Rules(uncertified="serve", holdout=0), conversation="c")
    assert decision is not None
    assert decision.reason == "capability"
    assert before(ask, Rules(uncertified="serve", holdout=0, grammar=True), conversation="c") is None


def test_a_student_stands_in_only_where_the_conversation_alone_spoke_against_it() -> None:
    reasons = get_args(Reason)
    allowed = [name for name in reasons if may_stand_in(Decision("teacher", name), Rules())]
    assert sorted(allowed) == ["experiment", "holdout", "sticky"]
    assert not may_stand_in(Decision("teacher", "holdout"), Rules(teacher_down="error"))


def test_the_holdout_is_a_fixed_share_of_conversations() -> None:
    held = [name for name in map(str, range(4000)) if in_holdout(name, 0.05)]
    assert 140 < len(held) < 260
    assert held == [name for name in map(str, range(4000)) if in_holdout(name, 0.05)]
    assert not in_holdout("any", 0)


@pytest.mark.parametrize(("idle", "reason"), [(0.0, "sticky"), (299.0, "sticky"), (301.0, None)])
def test_the_teacher_keeps_what_it_has_begun_until_nobody_has_it_at_hand(idle: float, reason: Reason | None) -> None:
    call = ToolCall("call_of_the_teacher", FunctionCall("look", "{}"))
    messages = [Message("user", "Hi"), Message("assistant", None, [call]), Message("tool", "x", tool_call_id=call.id)]
    rules = Rules(uncertified="serve", holdout=0)
    found = before(ChatRequest("nightschool", messages), rules, conversation="c", idle=idle)
    assert (found.reason if found else None) == reason
