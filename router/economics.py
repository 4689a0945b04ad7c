"""What a draft has to promise to be worth its time. Pure arithmetic on seconds; knows nothing of how they are measured.

A request that goes to the teacher takes T. One that is drafted first takes S, and T more where the draft is rejected; a
draft that is broken off early costs A instead of S. With the chance a that it is released, drafting takes a S + (1 - a)
(A + T), which is less than T where a > A / (T + A - S).
"""

from __future__ import annotations


def least_chance(student: float, teacher: float, broken_off: float | None = None) -> float:
    """The chance of release from which a draft pays; above 1: it never does. `broken_off` are the seconds after which a
    draft that will be rejected is given up; None: it is finished first."""
    lost = student if broken_off is None else min(student, broken_off)
    gain = teacher + lost - student
    if gain <= 0:
        return 2.0
    return lost / gain
