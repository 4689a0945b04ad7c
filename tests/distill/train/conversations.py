"""Conversations as tokens for tests, whose beginnings meet at several depths."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from distill.render import Segment
from distill.train.tokens import Tokens, tokens_of


@st.composite
def conversations(draw: st.DrawFn) -> Tokens:
    """Ids from a small alphabet, so that beginnings meet; some teach nothing, some are the beginning of others."""
    head = draw(st.sampled_from([[1] * 3, [1] * 40, [1] * 40 + [2], [2] * 35, [3]]))
    segments = [Segment(list(head), draw(st.booleans()))]
    for _ in range(draw(st.integers(0, 3))):
        segments.append(Segment(draw(st.lists(st.integers(1, 3), min_size=1, max_size=6)), True))
        segments.append(Segment(draw(st.lists(st.integers(1, 3), max_size=6)), False))
    return tokens_of(segments)


def lessons(example: Tokens) -> list[tuple[tuple[int, ...], int]]:
    """What an example teaches: each learnt token with all that comes before it."""
    ids = example.ids.tolist()
    return [(tuple(ids[:at]), ids[at]) for at in np.flatnonzero(example.learnt)]


def family(seed: int, prefix: int, middles: int, rows: int, longest: int = 30) -> list[Tokens]:
    """Conversations that share `prefix` tokens, and some of them the next 20; a third of the rest is learnt."""
    rng = np.random.default_rng(seed)
    first = rng.integers(1, 250, prefix)
    second = [rng.integers(1, 250, 20) for _ in range(middles)]
    made = []
    for row in range(rows):
        middle = second[row % middles] if middles else first[:0]
        ids = np.concatenate([first, middle, rng.integers(1, 250, rng.integers(3, longest))])
        learnt = rng.random(len(ids)) < 0.3
        learnt[0], learnt[-1] = False, True
        made.append(Tokens(ids.astype(np.int32), learnt))
    return made
