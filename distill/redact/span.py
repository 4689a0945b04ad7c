"""A span: a stretch of a text that has to go. Owns the record and which of several that overlap is taken."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec


class Span(msgspec.Struct, frozen=True):
    """Characters `start` to `end` of a text. `contextual` where only what stands around it gave it away: it is looked
    for in the rest of the trace too. `instead` is what is put there where that does not depend on what was found.
    `follows` where it is one more piece of a secret that was counted at its first."""

    start: int
    end: int
    contextual: bool = False
    instead: str | None = None
    follows: bool = False


def disjoint(spans: Iterable[Span]) -> list[Span]:
    """The spans from left to right; of several that overlap the leftmost, then the longest."""
    taken: list[Span] = []
    end = 0
    for span in sorted(spans, key=lambda span: (span.start, -span.end)):
        if span.start >= end:
            taken.append(span)
            end = span.end
    return taken
