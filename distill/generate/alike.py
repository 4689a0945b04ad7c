"""Alike: questions whose words are nearly those of another one. Owns the comparison; knows nothing of answers.

Two texts are nearly the same when their runs of five characters, or of five words, have a Jaccard similarity of 0.8 or
more, capitals apart: by what a reader sees, in whatever template and category. So "What is line 3 of a.py?" and "What
is line 4 of b.py?" are different, and so are sums of other numbers, as long as enough of their letters differ: in a
long sentence one digit is not enough, and another wording has to be found for it. MinHash finds which texts to
compare; the similarity itself is computed in full.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

from rensa import RMinHash

from distill.dataset.words import shingles, words

ALIKE = 0.8
_RUN = 5
_BANDS, _ROWS = 32, 4  # of two texts with a similarity of 0.8, one pair in twenty million agrees in no band
_SEED = 20261126


class Alike:
    """The texts that were added, by how they look."""

    def __init__(self) -> None:
        self._views = (_View(_characters), _View(_word_runs))

    def has(self, text: str) -> bool:
        """Whether a text that was added is nearly this one."""
        return any(view.has(text) for view in self._views)

    def add(self, text: str) -> None:
        for view in self._views:
            view.add(text)


class _View:
    def __init__(self, runs: Callable[[str], set[str]]) -> None:
        self._runs = runs
        self._known: list[set[str]] = []
        self._buckets: dict[tuple[int, ...], list[int]] = defaultdict(list)

    def has(self, text: str) -> bool:
        runs = self._runs(text)
        near = {one for band in _bands(runs) for one in self._buckets.get(band, ())}
        return any(_jaccard(runs, self._known[one]) >= ALIKE for one in near)

    def add(self, text: str) -> None:
        runs = self._runs(text)
        for band in _bands(runs):
            self._buckets[band].append(len(self._known))
        self._known.append(runs)


def _bands(runs: set[str]) -> list[tuple[int, ...]]:
    signature = RMinHash(num_perm=_BANDS * _ROWS, seed=_SEED)
    signature.update(sorted(runs))
    values = signature.digest()
    return [(band, *values[band * _ROWS : (band + 1) * _ROWS]) for band in range(_BANDS)]


def _characters(text: str) -> set[str]:
    plain = " ".join(text.lower().split())
    return {plain[at : at + _RUN] for at in range(max(1, len(plain) - _RUN + 1))}


def _word_runs(text: str) -> set[str]:
    return shingles(words(text), _RUN)


def _jaccard(one: set[str], other: set[str]) -> float:
    common = len(one & other)
    return common / (len(one) + len(other) - common) if one or other else 1.0
