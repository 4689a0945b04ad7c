"""What the two sides of the engine say to each other: a Job goes in, events come out.

Owns the shapes only. The asyncio side (chat) makes jobs and reads events; the generation side (generator and what it
uses) computes them. Knows nothing of MLX, text, HTTP or how anything is computed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen, in OpenAI's terms (top_k, min_p, repetition_penalty: vLLM's).

    `temperature` 0 is greedy; `top_k` 0, `min_p` 0 and `top_p` 1 cut nothing. `seed` fixes every choice.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    repetition_penalty: float = 1.0
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    seed: int = 0


class Constraint(Protocol):
    """A grammar at work on one request. It belongs to that request alone."""

    def mask(self) -> NDArray[np.int32] | None:
        """One bit for each token that may come next, 32 to a word, lowest first; None: any."""
        ...

    def accept(self, token: int) -> None:
        """Take the token that was chosen."""
        ...

    def copy(self) -> Constraint:
        """Another one in the same state."""
        ...

    def allows(self, tokens: Sequence[int]) -> int:
        """How many of these tokens, from the first on, may come next one after the other."""
        ...

    def forced(self) -> list[int]:
        """Tokens that spell what must come next; empty where there is a choice."""
        ...


@dataclass(frozen=True)
class Started:
    """The prompt is being computed; `cached` of its tokens did not need to be."""

    cached: int


@dataclass(frozen=True)
class Token:
    """One generated token with its log-probability under the model itself, before bias, penalties or grammar.

    `finish` is "stop" or "length" on the last one; `top` are the likeliest tokens with theirs, if asked for.
    """

    id: int
    logprob: float
    finish: str | None
    top: tuple[tuple[int, float], ...] = ()


Event = Started | Token | Exception


@dataclass(eq=False)
class Job:
    """What to generate: `prompt` is not empty and fits the model's context, `max_tokens` ≥ 1.

    `shared` is how many tokens at the prompt's beginning are system prompt and tools, `conversation` who takes turns
    with whom. A `private` job leaves nothing on disk.
    """

    prompt: list[int]
    max_tokens: int
    sampling: Sampling
    adapter: Any = None  # gateway.engine.inference.adapters.Adapter; None: the base
    constraint: Constraint | None = None
    top_logprobs: int = 0
    conversation: str = ""
    shared: int = 0
    private: bool = False
    events: asyncio.Queue[Event] = field(default_factory=asyncio.Queue)

    @property
    def key(self) -> str | None:
        """The content digest of the adapter: what keys and values are kept under."""
        return self.adapter.digest if self.adapter else None
