"""The plan's ways out, each with what it costs here: a larger student, more to the teacher, a leaner teacher.

Owns the arithmetic from the catalogue's sizes and the seconds that requests took. Changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from distill.store.listing import Sum
from gateway.machine.catalog import ROOM_TOKENS, Entry
from gateway.machine.inspection import Machine
from gateway.sections import Settings

_LARGER = "qwen2.5-coder-14b"
_CONTEXT = 2048  # tokens, as the plan has it
_GB = 1e9


class Pivot(msgspec.Struct, frozen=True):
    """A way out: the plan's letter, what it is, what it costs or saves, and how it is done."""

    plan: str
    what: str
    costs: str
    how: str


def pivots(settings: Settings, machine: Machine, catalogue: dict[str, Entry], days: Sequence[Sum]) -> list[Pivot]:
    """`days` are the sums of what was answered lately."""
    found = [_more_to_the_teacher(days), _leaner_teacher(settings, machine, catalogue)]
    return [_larger(machine, catalogue[_LARGER]), *found] if _LARGER in catalogue else found


def _larger(machine: Machine, entry: Entry) -> Pivot:
    needed = entry.needed_bytes(float32=machine.float32)
    fits = "it fits" if needed <= machine.working_set else "it does not fit"
    return Pivot(
        "B",
        f"a larger student, {entry.title.partition(',')[0]}",
        f"{entry.gigabytes:.1f} GB to fetch; {needed / _GB:.1f} GB to serve, and models may take "
        f"{machine.working_set / _GB:.1f} GB here: {fits}. It learns anew from the same traces",
        f"nightschool models pull {_LARGER}, student.model = '{_LARGER}', nightschool night",
    )


def _more_to_the_teacher(days: Sequence[Sum]) -> Pivot:
    mean = {arm: _mean([one for one in days if one.arm == arm]) for arm in ("student", "teacher")}
    student, teacher = mean["student"], mean["teacher"]
    if student is None or teacher is None:
        costs = "the teacher's seconds in place of the student's; both are known once both have answered"
    else:
        more = f"{teacher - student:+.1f} s ({student:.1f} → {teacher:.1f})"
        costs = f"each request that goes to the teacher instead takes {more}"
    return Pivot(
        "C",
        "the student for what it has proven, the teacher for the rest",
        costs,
        "router.policy = 'cascade' with router.uncertified = 'shadow' (the defaults); a higher router.confidence, or "
        "router.holdout, sends more to the teacher",
    )


def _leaner_teacher(settings: Settings, machine: Machine, catalogue: dict[str, Entry]) -> Pivot:
    entry = catalogue.get(settings.teacher.model)
    if entry is None:
        costs = "memory of a local teacher alone: set teacher.model to one of the catalogue to see how much"
    else:
        room, short = (entry.kv_bytes(tokens, float32=machine.float32) for tokens in (ROOM_TOKENS, _CONTEXT))
        costs = (
            f"{(room - short) / _GB:.1f} GB less for each conversation of {ROOM_TOKENS} tokens, and what is older is "
            f"forgotten; {entry.needed_bytes(float32=machine.float32) / _GB:.1f} GB less while nobody asks it"
        )
    return Pivot(
        "D",
        "the teacher as it is, leaner",
        costs,
        f"teacher.max_kv_size = {_CONTEXT}, gateway.cache_bytes for repeated requests, teacher.idle_stop = 600",
    )


def _mean(sums: Sequence[Sum]) -> float | None:
    count = sum(one.traces for one in sums)
    return sum(one.seconds for one in sums) / count if count else None
