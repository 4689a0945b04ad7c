"""Guards: evidence that grows with every outcome and may be looked at as often as one likes.

Owns three e-processes. Under its null hypothesis the expectation of each stays at one or below, whenever one stops, so
that it reaches 1/α with a probability of α at most (Ville 1939). Pure: a guard is a value, and an outcome gives the
next one. Knows nothing of what is counted or of what follows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

_WAITING = 20  # outcomes of the canary
_SURE = 0.999  # no estimate is surer: one outcome must not end a process


class Limit(msgspec.Struct, frozen=True):
    """Null hypothesis: a share of `limit` at most is bad. The likelihood ratio of the running estimate to the limit
    (Krichevsky and Trofimov's plug-in, which adds half an outcome of each kind)."""

    limit: float
    seen: int = 0
    bad: int = 0
    log: float = 0.0  # the evidence's natural logarithm

    def after(self, bad: bool) -> Limit:
        """With one more outcome."""
        guessed = min(_SURE, max(self.limit, (self.bad + 0.5) / (self.seen + 1)))
        factor = guessed / self.limit if bad else (1 - guessed) / (1 - self.limit)
        return Limit(self.limit, self.seen + 1, self.bad + bad, self.log + math.log(factor))

    def against(self, alpha: float) -> bool:
        """Whether the null hypothesis is rejected at this level."""
        return self.log >= -math.log(alpha)


class Control(msgspec.Struct, frozen=True):
    """Null hypothesis: of the canary's outcomes no larger share is bad than of the control's (Turner, Ly and Grünwald,
    Generic e-variables for exact sequential k-sample tests, arXiv 2106.02693).

    Outcomes are weighed in blocks of one canary and `ratio` controls; what came of a block that is not whole waits.
    Only the newest do: older ones are of another hour, in which both arms may have fared otherwise. That they are left
    out hangs on how many came, not on what they were.
    """

    ratio: int
    control: int = 0  # outcomes in whole blocks, and how many of them were bad
    control_bad: int = 0
    canary: int = 0
    canary_bad: int = 0
    waiting_control: tuple[bool, ...] = ()
    waiting_canary: tuple[bool, ...] = ()
    log: float = 0.0

    def after(self, is_canary: bool, bad: bool) -> Control:
        """With one more outcome."""
        if is_canary:
            grown = msgspec.structs.replace(self, waiting_canary=(*self.waiting_canary, bad)[-_WAITING:])
        else:
            grown = msgspec.structs.replace(self, waiting_control=(*self.waiting_control, bad)[-self.ratio :])
        whole = bool(grown.waiting_canary) and len(grown.waiting_control) >= grown.ratio
        return grown._weighed() if whole else grown

    def with_ratio(self, ratio: int) -> Control:
        """From the next block on, so many controls to a canary: shares of the traffic change."""
        return msgspec.structs.replace(self, ratio=ratio)

    def against(self, alpha: float) -> bool:
        return self.log >= -math.log(alpha)

    def _weighed(self) -> Control:
        """The oldest block's evidence: its likelihood under what both shares were guessed to be before it, over that
        under the one share for both that lies nearest."""
        controls, bad = self.waiting_control[: self.ratio], self.waiting_canary[0]
        of_control = (self.control_bad + 0.5) / (self.control + 1)
        of_canary = (self.canary_bad + 0.5) / (self.canary + 1)
        factor = 0.0
        if of_canary > of_control:
            both = (self.ratio * of_control + of_canary) / (self.ratio + 1)
            factor = _log_likelihood(controls, of_control) + _log_likelihood([bad], of_canary)
            factor -= _log_likelihood([*controls, bad], both)
        return Control(
            self.ratio,
            self.control + self.ratio,
            self.control_bad + sum(controls),
            self.canary + 1,
            self.canary_bad + bad,
            self.waiting_control[self.ratio :],
            self.waiting_canary[1:],
            self.log + factor,
        )


class Paired(msgspec.Struct, frozen=True):
    """Null hypothesis: on the same items the new arm is worse than the old one by `margin` or more, in the mean of
    differences between -1 (only the old one was bad) and 1 (only the new one was). A bet against it grows where the
    differences stay below the margin (Waudby-Smith and Ramdas, Estimating means of bounded random variables by betting,
    2024). The margin 0 is superiority."""

    margin: float
    seen: int = 0
    sum: float = 0.0
    squares: float = 0.0
    log: float = 0.0

    def after(self, difference: float) -> Paired:
        """With one more item. Raises ValueError for a difference that is none."""
        if not -1.0 <= difference <= 1.0:
            raise ValueError(f"a difference lies between -1 and 1: {difference}")
        mean = self.sum / (self.seen + 1)  # one item of difference 0, and a variance of ¼ for it
        spread = (self.squares + 0.25) / (self.seen + 1) - mean * mean
        gain = self.margin - mean
        bet = min(0.5 / (1 - self.margin), max(0.0, gain / (max(spread, 1e-6) + gain * gain)))
        return Paired(
            self.margin,
            self.seen + 1,
            self.sum + difference,
            self.squares + difference * difference,
            self.log + math.log1p(bet * (self.margin - difference)),
        )

    def against(self, alpha: float) -> bool:
        return self.log >= -math.log(alpha)


def _log_likelihood(outcomes: Sequence[bool], share: float) -> float:
    return sum(math.log(share if bad else 1 - share) for bad in outcomes)
