"""The seeded set: good conversations and spoilt ones, sifted, and what the filters made of each kind as a table.

`python -m tests.distill.filters.seeded` prints the table of docs/filters.md.
"""

from __future__ import annotations

import random
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from distill.filters import Rules, Told, explain
from distill.filters.told import Snapshot
from tests.distill.filters.corruptions import KINDS, SECRET, spoilt
from tests.distill.filters.scenes import Scene, good, make_repository

EACH = 24
GOOD = 120
REPOSITORIES = 6


@dataclass(frozen=True)
class Case:
    """`kind` is "good" or how it was spoilt; `caught`: nothing that must not be learnt is; `reasons`: by which codes
    something was masked or dropped."""

    kind: str
    caught: bool
    reasons: frozenset[str]


@dataclass(frozen=True)
class Row:
    """`recall`: share of the spoilt that were caught for their reason; `precision`: of all conversations with one of
    these reasons, the share that has it rightly."""

    kind: str
    count: int
    recall: float
    precision: float


def cases(folder: Path, each: int = EACH, goods: int = GOOD, seed: int = 7) -> list[Case]:
    """`each` conversations of every kind and `goods` good ones, over repositories made in `folder`."""
    roots = [make_repository(folder, number) for number in range(REPOSITORIES)]
    chance = random.Random(seed)
    found = [_case("good", good(chance.choice(roots), chance), [], f"good{n}", roots) for n in range(goods)]
    for kind in KINDS:
        for number in range(each):
            made = spoilt(kind, chance.choice(roots), chance)
            found.append(_case(kind, made.scene, made.bad, f"{kind}{number}", roots))
    return found


def _case(kind: str, scene: Scene, bad: list[int], name: str, roots: Sequence[Path]) -> Case:
    by_name = {root.name: root for root in roots}
    told = Told(
        Rules(confirm=False),
        snapshot=lambda workspace: Snapshot(by_name[workspace.repository], clean=True, whole=scene.ours),
        finds_secret=lambda text: SECRET in text,
        oracle=lambda question, answer: _right(scene, question, answer),
    )
    explained = explain(scene.traces(name), told).trajectories
    learnt = {at for one in explained for at in one.learnt}
    wanted = {at for at, message in enumerate(scene.messages) if message.role == "assistant"}
    reasons = frozenset(f.reason for one in explained for f in one.findings if f.effect in ("masked", "dropped"))
    return Case(kind, not learnt & set(bad) if bad else learnt == wanted, reasons)


def _right(scene: Scene, question: str, answer: str) -> bool | None:
    """Whether an answer tells the place that was asked for; None: it was not asked for a place."""
    wanted = next((one for one in (scene.wanted, scene.other) if f"{one.name} defined" in question), None)
    return None if wanted is None else wanted.path in answer


def rows(found: Sequence[Case]) -> list[Row]:
    """A row for the good ones, whose recall is the share that is learnt whole, and one for each kind."""
    goods = [case for case in found if case.kind == "good"]
    whole = sum(case.caught for case in goods) / len(goods)
    bad = [case for case in found if case.kind != "good"]
    kept = sum(not case.reasons for case in goods) / (sum(not case.reasons for case in [*goods, *bad]) or 1)
    return [Row("good", len(goods), whole, kept), *(_row(kind, found) for kind in KINDS)]


def _row(kind: str, found: Sequence[Case]) -> Row:
    mine = [case for case in found if case.kind == kind]
    codes = KINDS[kind].reasons
    caught = sum(case.caught and bool(case.reasons & codes) for case in mine)
    flagged = [case for case in found if case.reasons & codes]
    rightly = [case for case in flagged if case.kind != "good" and case.reasons & codes & _allowed(case.kind)]
    return Row(kind, len(mine), caught / len(mine), len(rightly) / (len(flagged) or 1))


def _allowed(kind: str) -> frozenset[str]:
    return KINDS[kind].reasons | KINDS[kind].follows


def table(made: Sequence[Row]) -> str:
    lines = ["| kind | conversations | reason | recall | precision |", "|---|---|---|---|---|"]
    for row in made:
        codes = sorted(KINDS[row.kind].reasons) if row.kind in KINDS else []
        reasons = ", ".join(f"`{code}`" for code in codes) or "none"
        lines.append(f"| {row.kind} | {row.count} | {reasons} | {row.recall:.2f} | {row.precision:.2f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        sys.stdout.write(table(rows(cases(Path(place)))) + "\n")
