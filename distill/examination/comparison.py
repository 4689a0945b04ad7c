"""Arms compared question by question, since all answered the same ones. Pure; knows nothing of verdicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from distill.examination.figures import Flag, succeeded
from distill.examination.marking import Mark
from distill.resampling import clustered
from distill.statistics import Difference, holm, mcnemar, paired

MEASURES: Mapping[str, Flag] = {
    "success": succeeded,
    "right_answers": lambda mark: mark.right,
    "right_calls": lambda mark: mark.equivalent or mark.exact,
}


class Comparison(msgspec.Struct, frozen=True):
    """`second` against `first` in one measure, over all questions (`category` empty) or those of a category.

    `p_value` is that of the exact two-sided McNemar test; `adjusted` is Holm's over the categories. `difference` has
    Newcombe's paired 95 % interval, `clustered` that of a bootstrap of whole repositories.
    """

    first: str
    second: str
    measure: str
    category: str
    items: int
    gained: int
    lost: int
    p_value: float
    adjusted: float
    difference: Difference
    clustered: tuple[float, float] | None


def compare(
    first: str, before: Sequence[Mark], second: str, after: Sequence[Mark], measures: Sequence[str] = tuple(MEASURES)
) -> list[Comparison]:
    """Over all questions first, then by category. Questions that only one of the two was asked are left out."""
    earlier = {mark.question: mark for mark in before}
    pairs = [(earlier[mark.question], mark) for mark in after if mark.question in earlier]
    found: list[Comparison] = []
    for measure in measures if pairs else ():
        found.append(_one((first, second, measure, ""), pairs))
        categories = sorted({mark.category for mark, _ in pairs})
        each = [
            _one((first, second, measure, name), [pair for pair in pairs if pair[0].category == name])
            for name in categories
        ]
        adjusted = holm({one.category: one.p_value for one in each})
        found += [msgspec.structs.replace(one, adjusted=adjusted[one.category]) for one in each]
    return found


def two_sided(gained: int, lost: int) -> float:
    """McNemar's exact p-value that gains and losses are equally likely, whichever there are more of."""
    return min(1.0, 2 * min(mcnemar(gained, lost), mcnemar(lost, gained)))


def _one(names: tuple[str, str, str, str], pairs: Sequence[tuple[Mark, Mark]]) -> Comparison:
    flag = MEASURES[names[2]]
    before, after = [flag(one) for one, _ in pairs], [flag(two) for _, two in pairs]
    gained = sum(two and not one for one, two in zip(before, after, strict=True))
    lost = sum(one and not two for one, two in zip(before, after, strict=True))
    ratios: dict[str, tuple[float, float]] = {}
    for (mark, _), one, two in zip(pairs, before, after, strict=True):
        change, of = ratios.get(mark.repository, (0.0, 0.0))
        ratios[mark.repository] = (change + two - one, of + 1)
    p_value = two_sided(gained, lost)
    spread = clustered({name: [ratio] for name, ratio in ratios.items()})
    return Comparison(*names, len(pairs), gained, lost, p_value, p_value, paired(before, after), spread)
