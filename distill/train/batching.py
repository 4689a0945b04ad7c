"""Which examples are learnt together: an epoch as batches. Owns grouping and order; knows nothing of models.

A batch holds examples that begin alike, since what they share is run once, and is in all else drawn by lot: batches of
like length are batches of one kind, short answers or long work, and each step undoes some of the one before. Padding is
saved where a batch is run, in parts of like length.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from distill.train.tokens import Tokens, alphabetical, common

_BEGINNING = 32  # examples are batched together when their first tokens are the same: the same agent, mostly
_FAMILY = 0.5  # the share of an example that it must have in common with the one before to stay with it


def epoch(examples: Sequence[Tokens], size: int, seed: int) -> Iterator[list[int]]:
    """All examples once, by number, in batches of up to `size`; the same for the same seed.

    Turns of one conversation stay together, up to a quarter of a batch. What does not fill a batch with its like fills
    some with others, those of one group beside each other, so that hardly a step is made of fewer than `size` examples.
    """
    rng = np.random.default_rng(seed)
    families = _families(examples, max(1, size // 4))
    groups: dict[bytes, list[list[int]]] = {}
    for at in rng.permutation(len(families)):
        groups.setdefault(examples[families[at][0]].ids[:_BEGINNING].tobytes(), []).append(families[at])
    batches: list[list[list[int]]] = []
    rest: list[list[list[int]]] = []  # of each group, what is left over
    for key in sorted(groups):
        *whole, last = _filled(groups[key], size)
        batches += whole
        (batches if _count(last) > size - max(1, size // 4) else rest).append(last)
    batches += _filled([family for at in rng.permutation(len(rest)) for family in rest[at]], size)
    for at in rng.permutation(len(batches)):
        yield [index for family in batches[at] for index in family]


def _count(families: Sequence[Sequence[int]]) -> int:
    return sum(map(len, families))


def _families(examples: Sequence[Tokens], most: int) -> list[list[int]]:
    """Examples that share most of what they are, at most so many together."""
    order = alphabetical(examples)
    beginnings = _beginnings(examples, order)
    families: list[list[int]] = []
    for before, index in zip([None, *order], order, strict=False):
        own = len(examples[index].ids) - beginnings[index]
        shared = common(examples[before].ids, examples[index].ids) - beginnings[index] if before is not None else 0
        if families and len(families[-1]) < most and own and shared >= _FAMILY * own:
            families[-1].append(index)
        else:
            families.append([index])
    return families


def _beginnings(examples: Sequence[Tokens], order: Sequence[int]) -> dict[int, int]:
    """For each example, how much all examples with its first tokens share: system prompt and tools, which make no
    family."""
    runs: dict[bytes, list[int]] = {}
    for index in order:
        runs.setdefault(examples[index].ids[:_BEGINNING].tobytes(), []).append(index)
    return {
        index: common(examples[run[0]].ids, examples[run[-1]].ids) if len(run) > 1 else 0
        for run in runs.values()
        for index in run
    }


def _filled(families: Sequence[list[int]], size: int) -> list[list[list[int]]]:
    """Families in runs of at most `size` examples."""
    runs: list[list[list[int]]] = []
    room = 0
    for family in families:
        if room < len(family):
            runs.append([])
            room = size
        runs[-1].append(family)
        room -= len(family)
    return runs
