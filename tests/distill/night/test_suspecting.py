"""What is unlike before is told, and what chance brings is not."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from distill.dataset import Example
from distill.night.suspecting import Came, jump, look, unlike
from router.chat import FunctionCall, Message, ToolCall


def example(question: str, answer: str, *, call: bool = True) -> Example:
    said = [Message("user", question)]
    if call:
        said += [
            Message("assistant", None, [ToolCall("c", FunctionCall("read_file", "{}"))]),
            Message("tool", "text", tool_call_id="c"),
        ]
    return Example("c", "r", ["t"], [*said, Message("assistant", answer)], [])


def day(answers: Sequence[str], *, call: bool = True) -> list[Example]:
    return [example(f"Question {number}?", answer, call=call) for number, answer in enumerate(answers)]


SOUND = ["It has 7 lines."] * 40


@pytest.mark.parametrize(
    "answer",
    [
        "I'm sorry, but I can't help with that.",
        "I cannot access files.",
        "Sorry, that is not possible.",
        "As an AI language model I have no tools.",
        "I am unable to run commands.",
        "I’m not able to do this.",
        "I won't do that.",
    ],
)
def test_a_teacher_that_begins_to_decline(answer: str) -> None:
    now = look(day([*SOUND[:20], *[answer] * 20]))
    assert now.declined == 20
    assert jump(look(day(SOUND)), now) == (
        "50% of the 40 conversations that came end with an answer that declines, 0% of those before"
    )


@pytest.mark.parametrize("answer", ["There is no class Sorry.", "It cannot be found in src.", "I can: it is 7."])
def test_an_answer_that_says_no_declines_nothing(answer: str) -> None:
    assert look(day([answer])).declined == 0


def test_one_conversation_many_times_over() -> None:
    many = look([example("The same?", "Yes.") for _ in range(60)])
    assert many.repeated == 59
    assert "98% of the 60 conversations that came are there twice" in jump(look(day(SOUND)), many)
    assert jump(many, look(day(SOUND))) == ""  # that it stops is no harm


def test_of_few_nothing_is_said() -> None:
    declining = ["I cannot do that."] * 40
    assert jump(look(day(SOUND)), look(day(declining[:29]))) == ""
    assert jump(look(day(SOUND[:29])), look(day(declining))) == ""


def test_days_that_differ_by_chance_are_let_through() -> None:
    chance = random.Random(1)

    def drawn(size: int, without_calls: float) -> Came:
        return Came(size, sum(chance.random() < without_calls for _ in range(size)))

    def stopped(before: float, now: float) -> bool:
        return bool(unlike(drawn(300, before), drawn(chance.randrange(30, 200), now), Came()))

    assert not any(stopped(rate, rate) for rate in [chance.random() for _ in range(1_000)])
    assert sum(stopped(chance.uniform(0.2, 0.4), chance.uniform(0.2, 0.4)) for _ in range(1_000)) <= 5


def came(passed: int, failed: int, reason: str = "ungrounded", *, calls: bool = True) -> Came:
    found = Came()
    for _ in range(passed):
        found.add(1, (), calls)
    for _ in range(failed):
        found.add(0, (reason,), calls)
    return found


def test_agents_without_their_tools_and_with_them_again() -> None:
    with_tools, without, nobody = came(40, 0), came(40, 0, calls=False), Came()
    assert (
        unlike(with_tools, without, nobody) == "100% of the 40 conversations that came call no tool, 0% of those before"
    )
    assert (
        unlike(without, with_tools, nobody) == "0% of the 40 conversations that came call no tool, 100% of those before"
    )
    assert not unlike(with_tools, without, came(40, 0, calls=False))  # somebody trusts such a day


def test_a_day_of_bad_answers_is_told() -> None:
    before, nobody = came(380, 20), Came()
    told = unlike(before, came(4, 60), nobody)
    assert told == "94% of the 64 conversations that came have bad answers in them, 5% of those before"
    assert not unlike(before, came(50, 14), nobody)  # more, and no third of all
    assert not unlike(before, came(4, 60, "not_the_teacher"), nobody)  # what the student answered is no bad answer
    assert not unlike(before, came(1, 20), nobody)  # too few to say so
    assert not unlike(came(4, 60), came(64, 0), nobody)
    assert not unlike(before, came(4, 60), came(2, 40))  # somebody trusts such a day


def test_what_a_student_answers_is_no_change_of_what_is_asked() -> None:
    """It answers what needs a tool; the teacher is left with the sums, and does not begin to keep from tools."""
    before, now = came(320, 0), came(7, 0)
    for _ in range(80):
        before.add(1, (), False)
    for _ in range(49):
        now.add(0, ("not_the_teacher",), True)
    for _ in range(17):
        now.add(1, (), False)
    assert not unlike(before, now, Came())


def test_what_only_waits_to_be_confirmed_is_not_bad() -> None:
    """On a day when the teacher is down nothing is confirmed: then bad ones are no larger a share than before."""
    waiting = came(0, 450, "unconfirmed")
    for _ in range(50):
        waiting.add(0, ("ungrounded",), True)
    assert (waiting.judged, waiting.failed) == (500, 50)
    assert not unlike(came(360, 40), waiting, Came())
