"""Verdict: may an adapter serve? Owns the rule; knows nothing of models, files or HTTP.

The adapter is compared with its base question by question (exact McNemar), since both answered the same ones.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from distill.examination.marking import Mark, changed, paired_marks
from distill.examination.rows import standing, turned
from distill.examination.scores import Score, score
from distill.statistics import mcnemar
from distill.succession import Succession, kept_from_tools

_NEEDLESS = 0.05  # a protection, whatever share of the level the verdict has


class Verdict(msgspec.Struct, frozen=True):
    """What the examination said of an adapter. `p_value`: that it is no better than its base at exact calls.
    `succession` is what it said of the adapter beside the one that serves, None where none did."""

    passed: bool
    reasons: list[str]
    base: Score
    adapter: Score
    gained: int
    lost: int
    p_value: float
    succession: Succession | None = None


def judge(
    base: Sequence[Mark],
    adapter: Sequence[Mark],
    alpha: float = 0.05,
    memory: tuple[int | None, int | None] = (None, None),
) -> Verdict:
    """An adapter passes when it makes significantly more exact calls than its base, answers no fewer questions, calls
    tools not significantly more often where none is needed, and turns none of the plan's four rows from met to missed.
    `memory` is the peak of base and adapter in bytes, as far as it is known.

    Both must have answered the same questions, each once. The base counts its answers with the same tolerant parser.
    """
    pairs = paired_marks(base, adapter)
    gained, lost = changed(pairs)
    p_value = mcnemar(gained, lost)
    old, new = score(base), score(adapter)
    reasons = []
    if p_value > alpha:
        reasons.append(
            f"not significantly more exact calls than the base (p = {p_value:.3g}, at most {alpha:.2g} is wanted)"
        )
    if new.right_answers.hits < old.right_answers.hits:
        reasons.append(f"fewer right answers than the base ({new.right_answers.hits} < {old.right_answers.hits})")
    kept, called = changed([pair for pair in pairs if not pair[1].needed], kept_from_tools)
    if mcnemar(called, kept) <= _NEEDLESS:
        reasons.append(f"calls a tool in {called} questions that need none and where the base called none")
    reasons += turned(standing(base, memory[0]), standing(adapter, memory[1]))
    return Verdict(not reasons, reasons, old, new, gained, lost, p_value)
