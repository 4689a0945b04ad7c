"""Patterns of questions: what stays the same when somebody asks again about something else.

Owns what is left of a text when names, numbers, paths and quotations are taken out of it, and how alike two texts are.
"""

from __future__ import annotations

import hashlib
import re

_LONGEST = 2000  # characters of a question: what it wants stands at its beginning or its end
_QUOTED = re.compile(r"`[^`]*`|\"[^\"]*\"|'[^'\s][^']*'|“[^”]*”")
_NAMED = re.compile(
    r"\S*[/\\_]\S*"  # paths and snake_case
    r"|\w+(?:\.\w+)+(?:\(\))?"  # dotted names and files
    r"|\b\w*[a-z][A-Z]\w*"  # camelCase
    r"|\w+\(\)"
    r"|\b\w*\d\w*"
)
_BLANKS = re.compile(r"\W+")


def pattern(text: str) -> str:
    """A short name for all questions that differ in what they name only; empty for no text."""
    ends = text if len(text) <= _LONGEST else text[: _LONGEST // 2] + text[-_LONGEST // 2 :]
    plain = _BLANKS.sub(" ", _NAMED.sub(" # ", _QUOTED.sub(" # ", ends)).replace("#", " x ")).strip().lower()
    return hashlib.blake2b(plain.encode(errors="replace"), digest_size=8).hexdigest() if plain else ""


def alike(one: str, other: str) -> float:
    """The share of their runs of three characters that two texts have in common (Jaccard), 0..1."""
    mine, theirs = _runs(one), _runs(other)
    return len(mine & theirs) / len(mine | theirs) if mine and theirs else 0.0


def _runs(text: str) -> set[str]:
    plain = text[:_LONGEST].lower()
    return {plain[at : at + 3] for at in range(len(plain) - 2)}
