"""Where a name is used. Owns what counts as a use: the name as a word of its own, in code or not, like `grep -w`."""

from __future__ import annotations

import re

from distill.facts.records import Facts, Place


def usages(facts: Facts, name: str) -> tuple[Place, ...]:
    """The lines that hold `name` between characters that are no part of a word, where it is declared included."""
    word = re.compile(rf"(?<!\w){re.escape(name)}(?!\w)")
    found: list[Place] = []
    for path, text in facts.texts.items():
        if name in text:  # most files do not hold it, and looking is quick
            found += [Place(path, at) for at, line in enumerate(text.split("\n"), 1) if word.search(line)]
    return tuple(found)
