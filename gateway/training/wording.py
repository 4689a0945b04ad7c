"""How figures of a run are said, in a terminal and in a report. Owns words alone."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from distill.train.recipe import Recipe
from distill.train.record import Look, Taught

_BLOCKS = "▁▂▃▄▅▆▇█"


def clock(seconds: float) -> str:
    """Hours, minutes and seconds: 1:02:03, or 2:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def size(count: float) -> str:
    """Bytes, in decimal units."""
    return f"{count / 1e9:.2f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"


def seen(look: Look) -> str:
    return f"{look.exact:.1%} of the turns kept apart exact, loss {look.loss:.3f} (step {look.step})"


def left_out(taught: Taught, recipe: Recipe) -> list[str]:
    """What of a dataset is not learnt, and what would change that."""
    told = []
    if taught.too_long:
        told.append(
            f"{taught.too_long} of {taught.too_long + taught.silent + taught.examples} conversations are longer than "
            f"{recipe.max_tokens} tokens and are left out: --set max_tokens=… takes them in"
        )
    if taught.silent:
        told.append(f"{taught.silent} conversations are left out: there is nothing in them that is learnt")
    if taught.unsaid:
        told.append(f"in {taught.unsaid} conversations words before calls are left out: --set thoughts=keep keeps them")
    return told


def sparkline(values: Sequence[float], width: int = 24) -> str:
    """The values as blocks, from the least to the greatest; many are drawn together as their means."""
    if not values:
        return ""
    count = min(width, len(values))
    cuts = [place * len(values) // count for place in range(count + 1)]
    means = [sum(values[begin:end]) / (end - begin) for begin, end in itertools.pairwise(cuts)]
    low, high = min(means), max(means)
    return "".join(_BLOCKS[round((mean - low) / (high - low or 1.0) * (len(_BLOCKS) - 1))] for mean in means)
