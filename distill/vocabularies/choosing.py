"""Choosing: in which vocabulary each question is asked.

Owns that choice: seeded, even, and only vocabularies in which all that a question needs can be said. Asks nothing.
"""

from __future__ import annotations

import hashlib
import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import msgspec

from distill.generate.question import Question
from distill.vocabularies.explore import NAME
from distill.vocabularies.vocabulary import Vocabulary


def with_vocabularies(
    questions: Sequence[Question], vocabularies: Mapping[str, Vocabulary], seed: int, explore: float = 0.5
) -> list[Question]:
    """The questions in their order, each with a vocabulary that can say its whole plan; the share `explore` of each
    category, and what no other can say, stays in the exploring agent's own.

    A question and the one that it is the `pair` of stay together. The same arguments give the same choice.
    """
    chance = random.Random(seed)
    groups = _groups(questions)
    chance.shuffle(groups)
    others = [name for name in vocabularies if name != NAME]
    chance.shuffle(others)
    used: Counter[str] = Counter()
    due: dict[str, float] = defaultdict(float)
    chosen: dict[str, str] = {}
    for group in groups:
        possible = [name for name in others if all(can_ask(vocabularies[name], question) for question in group)]
        due[group[0].category] += (1 - explore) * len(group)
        name = NAME
        if possible and due[group[0].category] >= len(group) / 2:
            name = min(possible, key=lambda one: used[one])
            used[name] += len(group)
            due[group[0].category] -= len(group)
        chosen |= {question.id: name for question in group}
    identities = {one.id: identity(one.repository, one.text, chosen[one.id]) for one in questions}
    return [
        msgspec.structs.replace(
            question,
            id=identities[question.id],
            vocabulary=chosen[question.id],
            pair=identities.get(question.pair, question.pair),
        )
        for question in questions
    ]


def can_ask(vocabulary: Vocabulary, question: Question) -> bool:
    """Whether a vocabulary can say what a question needs, and withhold what it withholds: where one tool does the work
    of several, as a shell does, not one of them can be missing."""
    whole = all(len(tool.meaning.tools) == 1 for tool in vocabulary.tools)
    return (whole or not question.withheld) and all(vocabulary.spoken(call) is not None for call in question.plan)


def identity(repository: str, text: str, vocabulary: str) -> str:
    """A question's id; in the exploring agent's own vocabulary, that of the question that was generated."""
    parts = (repository, text) if vocabulary == NAME else (repository, text, vocabulary)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def _groups(questions: Sequence[Question]) -> list[list[Question]]:
    """Questions that belong together: a pair's two, each with whatever else is paired to the same."""
    known = {question.id for question in questions}
    found: dict[str, list[Question]] = defaultdict(list)
    for question in questions:
        found[question.pair if question.pair in known else question.id].append(question)
    return list(found.values())
