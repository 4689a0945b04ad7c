"""Scores: what one arm did in an examination, as shares with bounds. Knows nothing of verdicts."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

import msgspec

from distill.examination.marking import Mark
from distill.statistics import Share, share


class Score(msgspec.Struct, frozen=True):
    """What one arm did in an examination. Autonomous tool use is counted where a tool was needed; the seconds are those
    of the questions asked alone, None without any."""

    items: int
    autonomous_tool_use: Share
    exact_calls: Share
    right_answers: Share
    needless_calls: Share
    median_seconds: float | None


def score(marks: Sequence[Mark]) -> Score:
    """Raises ValueError for no marks."""
    if not marks:
        raise ValueError("an examination without questions has no score")
    alone = [mark.seconds for mark in marks if mark.alone]
    return Score(
        items=len(marks),
        autonomous_tool_use=share([mark.called for mark in marks if mark.needed]),
        exact_calls=share([mark.exact for mark in marks]),
        right_answers=share([mark.right for mark in marks]),
        needless_calls=share([mark.called for mark in marks if not mark.needed]),
        median_seconds=median(alone) if alone else None,
    )
