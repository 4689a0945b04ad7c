"""What no example may repeat: the questions and answers of examinations. Owns the comparison; knows nothing of where
they come from.

System prompts, tool schemas and tool results are not compared: they are the same for everybody, and what stands in a
repository is kept apart by reserving the repository.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import msgspec

from distill.dataset.words import action, goal, shingles, words
from distill.digest import combined_digest
from router.chat import Message

RUN = 13  # words that are taken for copied when they stand in a row
ALIKE = 0.8  # Jaccard similarity from which two texts say the same


class Passage(msgspec.Struct, frozen=True):
    """A question of an examination with its right answer."""

    question: str
    answer: str


class Guard:
    """Knows the passages of examinations again. Memory grows with these alone."""

    def __init__(self, passages: Iterable[Passage]) -> None:
        known = sorted({(passage.question, passage.answer) for passage in passages})
        self.digest = combined_digest(text for passage in known for text in passage)
        self._runs: set[tuple[str, ...]] = set()
        self._sizes: list[int] = []  # shingles of each text
        self._holders: dict[str, list[int]] = {}  # the texts that hold a shingle
        for question, answer in known:
            asked, told = words(question), words(answer)
            self._runs |= _runs(asked) | _runs(told)
            for text in (asked, asked + told):
                self._learn(shingles(text))
        self._vocabulary = {word for run in self._runs for word in run}

    def fault(self, messages: list[Message]) -> str:
        """ "shared_words" or "shared_whole" for a conversation that repeats a passage, else ""."""
        if not self._sizes:
            return ""
        said = [words(action(message)) for message in messages if message.role in ("user", "assistant")]
        if any(map(self._copies, said)):
            return "shared_words"
        asked = words(goal(messages))
        return "shared_whole" if self._like(asked) or (said and self._like(asked + said[-1])) else ""

    def _learn(self, text: set[str]) -> None:
        for shingle in text:
            self._holders.setdefault(shingle, []).append(len(self._sizes))
        self._sizes.append(len(text))

    def _copies(self, said: list[str]) -> bool:
        known = 0  # words in a row that occur in some run
        for at, word in enumerate(said, start=1):
            known = known + 1 if word in self._vocabulary else 0
            if known >= RUN and tuple(said[at - RUN : at]) in self._runs:
                return True
        return False

    def _like(self, said: list[str]) -> bool:
        mine = shingles(said)
        shared = Counter(holder for shingle in mine for holder in self._holders.get(shingle, ()))
        return any(both >= ALIKE * (len(mine) + self._sizes[one] - both) for one, both in shared.items())


def _runs(text: list[str]) -> set[tuple[str, ...]]:
    return {tuple(text[start : start + RUN]) for start in range(len(text) - RUN + 1)}
