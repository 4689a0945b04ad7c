"""How many guessed tokens each row brings to the next step: as many as pay, by what steps were measured to cost.

A step over several tokens of a row costs little more than one over a single token, as reading the weights is most of
it; how much more depends on machine, model and batch, so it is measured all the time. Source of checking guesses in one
forward pass: speculative decoding (Leviathan et al. 2023). Knows nothing of models or caches.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np

from gateway.engine.inference.generation import Generation
from gateway.engine.inference.lookup import Draft

_MOST = 8  # guessed tokens a row
_POSITIONS = 96  # of a step, all rows together: each has logits over the whole vocabulary
_REMEMBERED = 64  # steps


class Speculation:
    """The drafts of all rows, for one batch."""

    def __init__(self) -> None:
        self._cost = StepCost()
        self.guessed = self.right = 0  # tokens, since the start

    def drafts(self, rows: Sequence[Generation]) -> list[Draft]:
        """For each row the guessed tokens to check in the next step; all empty where guessing does not pay."""
        most = min(_MOST, _POSITIONS // len(rows) - 1)
        drafts = [_draft(generation, most) for generation in rows]
        longest = max(len(draft.tokens) for draft in drafts)

        def rate(length: int) -> float:
            positions = sum(1 + min(length, len(draft.tokens)) for draft in drafts)
            return sum(draft.expected(length) for draft in drafts) / self._cost.seconds(len(rows), positions)

        best = max(range(longest + 1), key=rate)
        return [draft.first(best) for draft in drafts]

    def took(self, drafts: Sequence[Draft], seconds: float) -> None:
        """A step with these drafts, and nothing else in it, took so long."""
        self._cost.took(len(drafts), len(drafts) + sum(len(draft.tokens) for draft in drafts), seconds)

    def checked(self, drafts: Sequence[Draft], right: Sequence[int]) -> None:
        """So many of each draft's tokens came true."""
        for draft, count in zip(drafts, right, strict=True):
            draft.trust.checked(count, len(draft.tokens))
            self.guessed += len(draft.tokens)
            self.right += count


class StepCost:
    """What a step costs: seconds = a + b · rows + c · positions, least squares over the last steps.

    While steps differ in nothing it takes the smallest coefficients that fit, which is to hope that guessing is cheap:
    it will be tried, and known.
    """

    def __init__(self) -> None:
        self._steps: deque[tuple[float, float, float, float]] = deque(maxlen=_REMEMBERED)
        self._fit: np.ndarray | None = None

    def took(self, rows: int, positions: int, seconds: float) -> None:
        self._steps.append((1.0, rows, positions, seconds))
        self._fit = None

    def seconds(self, rows: int, positions: int) -> float:
        """What a step is expected to take; before the first one, the same for all."""
        if not self._steps:
            return 1.0
        if self._fit is None:
            table = np.array(self._steps)
            self._fit = np.linalg.lstsq(table[:, :3], table[:, 3], rcond=None)[0]
        base = max(float(self._fit @ (1.0, rows, rows)), 1e-6)
        return base + max(float(self._fit[2]), 0.0) * (positions - rows)


def _draft(generation: Generation, most: int) -> Draft:
    job = generation.job
    most = min(most, job.max_tokens - generation.generated - 1)
    if most < 1:
        return Draft([], generation.forced)
    if job.constraint is None:
        return generation.lookup.guess(generation.tokens, most)
    if forced := job.constraint.forced():
        return Draft(forced[:most], generation.forced)
    guessed = generation.lookup.guess(generation.tokens, most)
    return guessed.first(job.constraint.allows(guessed.tokens))
