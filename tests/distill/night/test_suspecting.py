"""What is unlike before is told, and what chance brings is not."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from distill.dataset import Example
from distill.night.suspecting import Look, failing, jump, look
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


def test_agents_without_their_tools_and_with_them_again() -> None:
    with_tools, without = look(day(SOUND)), look(day(SOUND, call=False))
    assert "100% of the 40 conversations that came call no tool, 0% of those before" in jump(with_tools, without)
    assert "0% of the 40 conversations that came call no tool, 100% of those before" in jump(without, with_tools)


def test_one_conversation_many_times_over() -> None:
    many = look([example("The same?", "Yes.") for _ in range(60)])
    assert many.repeated == 59
    assert "98% of the 60 conversations that came are there twice" in jump(look(day(SOUND)), many)
    assert jump(many, look(day(SOUND))) == ""  # that it stops is no harm


def test_of_few_nothing_is_said() -> None:
    assert jump(look(day(SOUND)), look(day(SOUND[:29], call=False))) == ""
    assert jump(look(day(SOUND[:29])), look(day(SOUND, call=False))) == ""


def test_days_that_differ_by_chance_are_let_through() -> None:
    chance = random.Random(1)

    def drawn(size: int, without_calls: float) -> Look:
        rates = (0.02, without_calls, 0.05)
        return Look(size, *(sum(chance.random() < rate for _ in range(size)) for rate in rates))

    def stopped(before: float, now: float) -> bool:
        return bool(jump(drawn(300, before), drawn(chance.randrange(30, 200), now)))

    assert not any(stopped(rate, rate) for rate in [chance.random() for _ in range(1_000)])
    assert sum(stopped(chance.uniform(0.2, 0.4), chance.uniform(0.2, 0.4)) for _ in range(1_000)) <= 5


def sifted(passed: int, failed: int, reason: str = "ungrounded") -> Look:
    found = Look()
    for _ in range(passed):
        found.sifted(1, ())
    for _ in range(failed):
        found.sifted(0, (reason,))
    return found


def test_a_day_of_bad_answers_is_told() -> None:
    before = sifted(380, 20)
    told = failing(before, sifted(4, 60))
    assert told == "94% of the 64 conversations that came have bad answers in them, 5% of those before"
    assert not failing(before, sifted(50, 14))  # more, and no third of all
    assert not failing(before, sifted(4, 60, "not_the_teacher"))  # what the student answered is no bad answer
    assert not failing(before, sifted(1, 20))  # too few to say so
    assert not failing(sifted(4, 60), sifted(64, 0))
