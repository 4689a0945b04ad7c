"""What is kept of answers, and what makes two requests the same: the bounds, and every part of the key by itself."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from gateway.access.keys import Rights
from gateway.answering.arms import Arm
from gateway.answering.cache import Kept, ResponseCache
from gateway.answering.repeats import Repeats
from gateway.answering.reply import keep
from gateway.answering.serving import Serving
from gateway.answering.teachers import Teachers
from gateway.answering.turn import Ask, Turn
from gateway.backends.client import Address, Backend, Timeouts
from gateway.backends.patience import Manners
from router.certificate import RULE, Certificate, Scope
from router.chat import AnswerMessage, ChatResponse, Choice, Usage, parse_request
from router.decision import Decision
from router.policy import Rules, in_holdout

BODY: dict[str, Any] = {"model": "any", "messages": [{"role": "user", "content": "Hi"}], "temperature": 0}
RULES = Rules(uncertified="serve", holdout=0)
CERTIFICATE = Certificate(Scope("base", "", "", "big", RULE), {}, {}, 0.05)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def kept(size: int, trace: str = "") -> Kept:
    return Kept(b"x" * (size - 500), "teacher", trace)


def an_arm(label: str, url: str, model: str) -> Arm:
    name = "student" if label == "student" else "teacher"
    return Arm(name, Backend(Address(url), Timeouts(), Manners()), label=label, model=model)  # type: ignore[arg-type]


class School:
    """A student, a teacher and what is kept of their answers."""

    def __init__(self) -> None:
        self.cache = ResponseCache(Clock())
        self.cache.bound(1_000_000, 60)
        self.rules = RULES
        self.student = an_arm("student", "http://127.0.0.1:1/v1", "small")
        self.teachers = [an_arm("teacher", "http://127.0.0.1:2/v1", "large")]

    def repeats(self) -> Repeats:
        return Repeats(self.cache, self.student, Teachers(self.teachers, {}), self.serving)

    def serving(self, _: Ask) -> Serving:
        return Serving(self.rules, self.student.live)

    def answers(self, turn: Turn, finish: str = "stop", state: Decision | None = None) -> Turn:
        """A model answers the turn, which is then kept if it may be."""
        assert self.repeats().answer_to(turn, self.serving(turn.ask)) is None
        message = AnswerMessage(content="Hello")
        keep(turn, ChatResponse("id-1", 1, "large", [Choice(message, finish)], usage=Usage(3, 1, 4)))
        turn.decision = state or Decision(arm="teacher", reason="requested")
        self.repeats().keep(turn)
        return turn

    def has(self, turn: Turn) -> bool:
        return self.repeats().answer_to(turn, self.serving(turn.ask)) is not None


def a_turn(body: dict[str, Any] | None = None, **more: Any) -> Turn:
    body = {**BODY, **(body or {})}
    given = {"conversation": "c", "client": "alice", "may_repeat": True, **more}
    return Turn(Ask(parse_request(body), body, 100, **given))


def test_the_least_used_go_first_when_the_bytes_are_used_up() -> None:
    cache = ResponseCache(Clock())
    cache.bound(3000, 60)
    for key in (b"a", b"b", b"c"):
        cache.put(key, kept(1000))
    assert cache.find(b"a") is not None  # so b is the one not used for longest
    cache.put(b"d", kept(1000))
    assert [cache.find(key) is not None for key in (b"a", b"b", b"c", b"d")] == [True, False, True, True]
    cache.put(b"e", kept(2500))
    assert (cache.status.entries, cache.status.bytes) == (1, 2500)
    cache.put(b"f", kept(3001))  # larger than all there is: nothing makes room for it
    assert cache.find(b"e") is not None
    cache.put(b"e", kept(1500))
    assert (cache.status.entries, cache.status.bytes) == (1, 1500)


def test_an_answer_is_given_again_for_so_long_and_no_longer() -> None:
    clock = Clock()
    cache = ResponseCache(clock)
    cache.bound(3000, 60)
    cache.put(b"a", kept(1000))
    clock.now += 59.9
    assert cache.find(b"a") is not None  # being used makes it no younger
    clock.now += 0.1
    assert cache.find(b"a") is None
    assert cache.status.bytes == 0
    assert (cache.status.hits, cache.status.misses) == (1, 1)


def test_new_bounds_hold_at_once() -> None:
    clock = Clock()
    cache = ResponseCache(clock)
    assert not cache.on
    cache.put(b"a", kept(1000))
    assert cache.find(b"a") is None
    cache.bound(2000, 60)
    cache.put(b"a", kept(1000))
    cache.put(b"b", kept(1000))
    cache.bound(1500, 60)
    assert cache.status.bytes == 1000
    clock.now += 30
    cache.bound(1500, 20)
    assert cache.find(b"b") is None
    cache.put(b"b", kept(1000))
    cache.bound(0, 20)
    assert (cache.on, cache.status.entries) == (False, 0)


def test_the_same_request_gets_the_same_answer_and_its_own_id() -> None:
    school = School()
    first = school.answers(a_turn())
    again = a_turn()
    answer = school.repeats().answer_to(again, school.serving(again.ask))
    assert answer is not None
    assert answer.response.choices == [Choice(AnswerMessage(content="Hello"), "stop")]
    assert answer.response.usage == Usage(3, 1, 4)
    assert answer.response.id not in ("", "id-1")
    assert (again.decision.arm, again.decision.reason, again.decision.detail) == ("teacher", "cached", first.id)
    assert first.trace().teach


@pytest.mark.parametrize(
    "more",
    [
        {"stream": True},
        {"stream": True, "stream_options": {"include_usage": True}},
        {"user": "somebody"},
        {"metadata": {"run": "7"}},
        {"model": "another name of the same"},
        {"n": 1},
        {"store": False},
    ],
)
def test_what_changes_no_answer_does_not_count(more: dict[str, Any]) -> None:
    school = School()
    school.answers(a_turn({"n": 1} if "n" in more else {}))
    assert school.has(a_turn(more))


def test_the_order_of_fields_does_not_count() -> None:
    school = School()
    school.answers(a_turn({"response_format": {"type": "json_object", "strict": True}, "seed": 1}))
    assert school.has(a_turn({"seed": 1, "response_format": {"strict": True, "type": "json_object"}}))


@pytest.mark.parametrize(
    "more",
    [
        {"messages": [{"role": "user", "content": "Hi "}]},
        {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]},
        {"messages": [{"role": "user", "content": "Hi", "name": "x"}]},
        {"tools": [{"type": "function", "function": {"name": "f"}}]},
        {"max_tokens": 10},
        {"top_p": 0.5},
        {"seed": 3},
        {"stop": ["x"]},
        {"response_format": {"type": "json_object"}},
        {"a_field_of_tomorrow": 1},
        {"reasoning_effort": "low"},
    ],
)
def test_every_other_field_of_a_request_counts(more: dict[str, Any]) -> None:
    school = School()
    school.answers(a_turn())
    assert not school.has(a_turn(more))
    school.answers(a_turn(more))
    assert school.has(a_turn(more))


@pytest.mark.parametrize(
    "more",
    [
        {"client": "bob"},
        {"client": ""},
        {"rights": Rights(may_leave_machine=False)},
        {"requested": "student"},
        {"requested": "teacher"},
        {"requested": "student", "model": "small-1"},
    ],
)
def test_who_asks_whom_counts(more: dict[str, Any]) -> None:
    school = School()
    school.answers(a_turn())
    assert not school.has(a_turn(**more))
    assert school.has(a_turn())


@pytest.mark.parametrize("field", sorted({*Rules.__struct_fields__} - {"worth"}))
def test_every_rule_counts(field: str) -> None:
    school = School()
    school.answers(a_turn())
    now = getattr(RULES, field)
    other = CERTIFICATE if now is None else "other" if isinstance(now, str) else now + 1
    school.rules = msgspec.structs.replace(RULES, **{field: other})
    assert not school.has(a_turn())


def test_what_models_take_changes_no_answer_that_was_given() -> None:
    school = School()
    school.answers(a_turn())
    school.rules = msgspec.structs.replace(RULES, worth=0.3)
    assert school.has(a_turn())


def test_the_side_of_the_hold_out_counts() -> None:
    school = School()
    school.rules = msgspec.structs.replace(RULES, holdout=0.5)
    inside = next(name for name in map(str, range(99)) if in_holdout(name, 0.5))
    outside = [name for name in map(str, range(99)) if not in_holdout(name, 0.5)]
    school.answers(a_turn(conversation=outside[0]))
    assert school.has(a_turn(conversation=outside[1]))
    assert not school.has(a_turn(conversation=inside))


def test_the_models_count() -> None:
    def exchange(school: School, what: str) -> None:
        if what == "base":
            school.student.base = "small-2"
        elif what == "adapter":
            school.student.put_to_work("small-1")
        elif what == "adapter and back":
            school.student.put_to_work("small-1")
            school.student.put_to_work("")
        elif what == "student's address":
            school.student = an_arm("student", "http://127.0.0.1:9/v1", "small")
        elif what == "teacher's model":
            school.teachers = [an_arm("teacher", "http://127.0.0.1:2/v1", "larger")]
        elif what == "teacher's address":
            school.teachers = [an_arm("teacher", "http://127.0.0.1:3/v1", "large")]
        else:
            school.teachers.append(an_arm("second", "http://127.0.0.1:4/v1", "large"))

    changes = ("base", "adapter", "adapter and back", "student's address", "teacher's model", "teacher's address")
    for what in (*changes, "one more"):
        school = School()
        school.answers(a_turn())
        assert school.has(a_turn())
        exchange(school, what)
        assert not school.has(a_turn()), what


def test_an_answer_during_which_the_adapter_changed_is_not_kept() -> None:
    school = School()
    turn = a_turn()
    assert school.repeats().answer_to(turn, school.serving(turn.ask)) is None
    school.student.put_to_work("small-1")
    keep(turn, ChatResponse("id", 1, "m", [Choice(AnswerMessage(content="of either"), "stop")]))
    school.repeats().keep(turn)
    school.student.put_to_work("")
    assert not school.has(a_turn())
    assert school.cache.status.entries == 0


@pytest.mark.parametrize(
    ("body", "more"),
    [
        ({}, {"may_repeat": False}),
        ({}, {"rights": Rights(record=False)}),
        ({"temperature": None}, {}),
        ({"temperature": 0.1}, {}),
        ({"n": 2}, {}),
        ({"logprobs": True}, {}),
        ({"top_logprobs": 2, "logprobs": True}, {}),
        ({"modalities": ["text", "audio"]}, {}),
        ({"functions": [{"name": "f"}]}, {}),
    ],
)
def test_what_is_no_repeat_is_neither_looked_up_nor_kept(body: dict[str, Any], more: dict[str, Any]) -> None:
    school = School()
    school.answers(a_turn(body, **more))
    assert not school.has(a_turn(body, **more))
    assert school.cache.status.entries == school.cache.status.misses == 0


def test_without_a_temperature_nothing_is_kept() -> None:
    school = School()
    body = {name: value for name, value in BODY.items() if name != "temperature"}
    turn = Turn(Ask(parse_request(body), body, 100, "c", may_repeat=True))
    school.answers(turn)
    assert school.cache.status.entries == school.cache.status.misses == 0


@pytest.mark.parametrize("finish", ["length", "content_filter", ""])
def test_an_answer_that_was_cut_off_is_not_kept(finish: str) -> None:
    school = School()
    school.answers(a_turn(), finish)
    assert not school.has(a_turn())


def test_an_answer_of_somebody_who_stood_in_is_not_kept() -> None:
    school = School()
    school.answers(a_turn(), state=Decision(arm="student", reason="teacher_failed"))
    assert not school.has(a_turn())
    turn = a_turn()
    turn.tried.append("teacher: busy")
    school.answers(turn)
    assert not school.has(a_turn())
