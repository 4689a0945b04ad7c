"""What each of the plan's three iterations is, and what follows from how it went. Pure."""

from __future__ import annotations

from typing import Literal

import msgspec

from distill.examination.decision import MEANING, PlanDecision

Name = Literal["mve", "scale", "refine"]


class Iteration(msgspec.Struct, frozen=True):
    """`total` questions are put to the teacher; after the night the student sits `examination`. `then` is what to do by
    what is decided. `by_failures`: what failed in the examination of the nights says what kinds of questions are asked;
    not in the one that decides, which would then be learnt."""

    name: Name
    total: int
    examination: str
    then: dict[str, str]
    by_failures: bool = False


ITERATIONS: dict[Name, Iteration] = {
    "mve": Iteration(
        "mve",
        1000,
        "quick",
        {
            "ready": "scale up: `nightschool scale` with the same --repo",
            "more": "more or better examples: the same command with --total 2000, or more --repo; then look again",
            "not enough": "distillation does not carry this student: one of the pivots below",
        },
    ),
    "scale": Iteration(
        "scale",
        10_000,
        "autonomous",
        {
            "ready": "ready for work: let it serve, and let it learn every night with `nightschool schedule install`",
            "more": "work on what fails: `nightschool refine` with the same --repo",
            "not enough": "more of the same will not carry it: one of the pivots below",
        },
    ),
    "refine": Iteration(
        "refine",
        1000,
        "autonomous",
        {
            "ready": "ready for work; the plan wants 90 %, so look at right answers above: the same command once more, "
            "or let it learn every night with `nightschool schedule install`",
            "more": "again, with what fails now: the same command",
            "not enough": "what fails is not mended by examples of it: one of the pivots below",
        },
        by_failures=True,
    ),
}


def follows(iteration: Iteration, decision: PlanDecision) -> list[str]:
    """What the decision means and what to do, in sentences; of a decision that is open, for each way it may go."""
    if decision.verdict != "open":
        return [MEANING[decision.verdict], f"Next: {iteration.then[decision.verdict]}"]
    return [decision.words, *(f"If {MEANING[way]}: {iteration.then[way]}" for way in decision.between)]


def may_pivot(decision: PlanDecision) -> bool:
    return "not enough" in (decision.verdict, *decision.between)
