"""Guesses at what a conversation will say next, looked up in what it holds already.

Owns the search of one growing list of tokens, and the trust in guesses by how often they came true. Agents repeat
paths, names and whole passages of what their tools showed them. Source: prompt lookup decoding (Saxena 2023). Knows
nothing of models, batches or time.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass

import numpy as np

_SHORTEST, _LONGEST = 2, 8  # tokens that the end of the text must have in common with an earlier place; are compared
_MEMORY = 0.8  # of what is known, after each guess


@dataclass
class Trust:
    """In one kind of guess: of `tried` tokens `right` came true, older ones counting for less."""

    right: float
    tried: float

    @property
    def chance(self) -> float:
        """How likely a guessed token is the right one, if those before it are."""
        return self.right / self.tried

    def checked(self, right: int, guessed: int) -> None:
        """Of so many guessed tokens the first `right` came true; those behind a wrong one tell nothing."""
        if guessed:
            self.right = self.right * _MEMORY + right
            self.tried = self.tried * _MEMORY + right + (right < guessed)


@dataclass(frozen=True)
class Draft:
    """Guessed tokens of one row, to be checked, and the trust in their like."""

    tokens: list[int]
    trust: Trust

    def expected(self, most: int) -> float:
        """Tokens that a step brings if `most` of these are checked: what is right, and the one the model adds."""
        right = self.trust.chance ** np.arange(1 + min(most, len(self.tokens)))
        return float(right.sum())

    def first(self, most: int) -> Draft:
        return Draft(self.tokens[:most], self.trust)


class Lookup:
    """The earlier places of one text. Those that agree with its end for long are trusted apart from the others."""

    def __init__(self) -> None:
        self._text = array("i")
        self._short, self._long = Trust(1.2, 2.0), Trust(4.5, 5.0)

    def guess(self, tokens: list[int], most: int) -> Draft:
        """What may follow `tokens`, which may only have grown since the last call: `most` tokens or none.

        Taken from behind the place that agrees longest with the end of the text, the latest of several. Where the text
        ends first, it is taken to repeat itself.
        """
        self._text.extend(tokens[len(self._text) :])
        text = np.frombuffer(self._text, np.int32)
        last = len(text) - 1
        places, agreeing = np.flatnonzero(text[:-1] == text[last]), 1
        while agreeing < _LONGEST:
            longer = places[places >= agreeing]
            longer = longer[text[longer - agreeing] == text[last - agreeing]]
            if not len(longer):
                break
            places, agreeing = longer, agreeing + 1
        trust = self._long if agreeing == _LONGEST else self._short
        if agreeing < _SHORTEST or not len(places):
            return Draft([], trust)
        start = int(places[-1]) + 1
        return Draft([tokens[start + i % (len(tokens) - start)] for i in range(most)], trust)
