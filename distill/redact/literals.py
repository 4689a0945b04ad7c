"""Many literal texts looked for at once, in one pass. Owns the automaton; knows nothing of what is looked for."""

from __future__ import annotations

from collections.abc import Sequence

from ahocorasick_rs import AhoCorasick


class Literals:
    """Finds each of some texts wherever it stands in another, overlapping ones too."""

    def __init__(self, literals: Sequence[str]) -> None:
        self._automaton = AhoCorasick(list(literals))

    def find(self, text: str) -> list[tuple[int, int, int]]:
        """For each that was found its number, start and end, in characters."""
        try:
            return self._automaton.find_matches_as_indexes(text, overlapping=True)
        except UnicodeEncodeError:  # a lone surrogate becomes one "?", so that positions stay
            plain = text.encode("utf-8", "replace").decode()
            return self._automaton.find_matches_as_indexes(plain, overlapping=True)
