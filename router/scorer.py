"""Scorers: how good a draft will be, and how good one is. The rule needs no training; gates are learnt at night.

Owns what both are asked. Knows nothing of thresholds or of who answers.
"""

from __future__ import annotations

import hashlib
from functools import cached_property
from typing import Protocol

import msgspec

from router.certificate import RULE
from router.chat import ChatRequest, Choice
from router.features.draft import draft_features
from router.features.memory import Memory
from router.features.request import Features, features, texts_of
from router.gate import POST_NAMES, PRE_NAMES, Gate, Weights, before_draft, probability
from router.score import scores


class Look(Protocol):
    """One request as a scorer sees it. `name` is the scorer's."""

    @property
    def name(self) -> str: ...

    def chance(self) -> float | None:
        """How probable a good draft is, before there is one; None: nobody can say."""

    def score(self, choice: Choice) -> dict[str, float]:
        """Probabilities in 0..1 of a draft; `confidence` is what a threshold is set on. Empty where nothing can be
        said."""


class Scorer(Protocol):
    """`name` is the same for scorers that say the same."""

    @property
    def name(self) -> str: ...

    def look(self, request: ChatRequest) -> Look: ...


class Rule:
    """The draft's own token probabilities, whatever the request."""

    name = RULE

    def look(self, request: ChatRequest) -> Rule:
        return self

    def chance(self) -> float | None:
        return None

    def score(self, choice: Choice) -> dict[str, float]:
        return scores(choice)


class Gates(msgspec.Struct, frozen=True):
    """The gate before a draft and the one behind it, as they are kept."""

    pre: Weights
    post: Weights

    @property
    def name(self) -> str:
        return "gates-" + hashlib.sha256(msgspec.json.encode(self)).hexdigest()[:12]


class Learnt:
    """Gates at work. What was read of calls and tools is kept for a conversation's next turn. Raises ValueError for
    gates that do not fit what they are shown."""

    def __init__(self, gates: Gates) -> None:
        self.gates = gates
        self.name = gates.name
        self.pre, self.post = Gate(gates.pre), Gate(gates.post)
        if (gates.pre.names, gates.post.names) != (PRE_NAMES, POST_NAMES):
            raise ValueError("they look at other features than this version knows: train them anew")
        self._memory = Memory()

    def look(self, request: ChatRequest) -> LearntLook:
        return LearntLook(self, request, self._memory)


class LearntLook:
    """A request as gates see it; it is read once, when that is first wanted."""

    def __init__(self, learnt: Learnt, request: ChatRequest, memory: Memory) -> None:
        self.name = learnt.name
        self._learnt = learnt
        self._request = request
        self._memory = memory

    @cached_property
    def _texts(self) -> list[str]:
        return texts_of(self._request)

    @cached_property
    def _features(self) -> Features:
        return features(self._request, self._texts, self._memory)

    @cached_property
    def _before(self) -> float:
        """The log-odds of a good draft."""
        found = self._features
        return self._learnt.pre.log_odds(before_draft(self._learnt.gates.pre, found), found.words)

    def chance(self) -> float | None:
        return probability(self._before)

    def score(self, choice: Choice) -> dict[str, float]:
        good = probability(self._learnt.post.log_odds(self._numbers(choice), self._features.words))
        return {**scores(choice), "confidence": good, "chance": probability(self._before)}

    def reasons(self, choice: Choice) -> dict[str, float]:
        """What each feature of a draft adds to the log-odds that it is good."""
        return self._learnt.post.parts(self._numbers(choice))

    def _numbers(self, choice: Choice) -> list[float]:
        asked = before_draft(self._learnt.gates.post, self._features)
        return [*asked, *draft_features(self._request, self._texts, choice, self._before)]
