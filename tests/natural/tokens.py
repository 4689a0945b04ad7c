"""Whether what would be learnt of a day is, token for token, what its engine served.

Owns what is compared: every trajectory, kept or not, since tokens know nothing of quality. Knows nothing of models.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from distill.dataset import Example
from distill.render import Renderer
from distill.served_tokens import rendered_anew, token_faults
from tests.natural.night import Judged


def compared(judged: Sequence[Judged], renderer: Renderer) -> dict[str, Any]:
    """How many traces were compared, how many could not be and why, and the differences in a line each."""
    anew: dict[str, str] = {}
    traces: set[str] = set()
    faults: list[str] = []
    for one in judged:
        mine = list({trace.id: trace for trace in one.trajectory.traces}.values())
        traces |= {trace.id for trace in mine}
        anew |= rendered_anew(mine, renderer)
        faults += token_faults(_whole(one), mine, renderer)
    return {"compared": len(traces - anew.keys()), "anew": Counter(anew.values()), "faults": faults}


def _whole(one: Judged) -> Example:
    """All of a trajectory as an example."""
    trajectory = one.trajectory
    ids = [trace.id for trace in trajectory.traces]
    return Example(trajectory.last.conversation, "", ids, list(trajectory.messages), trajectory.tools)
