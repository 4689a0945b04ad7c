"""The conversations that are computed together.

Owns what every kind of batch does: who is in, and who gets which token. How the forward pass is made is its kinds'
business: HostBatch and DeviceBatch. Knows nothing of who may join, of text or of fairness.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import mlx.nn as nn
import numpy as np

from gateway.engine.inference.adapters import AdapterLayers
from gateway.engine.inference.generation import Generation
from gateway.engine.inference.job import Token
from gateway.engine.inference.sampling import Chosen

Said = list[tuple[Generation, Token]]


@dataclass(frozen=True)
class Piece:
    """The tokens of a prompt from what is computed of it up to `end`, to be computed next."""

    generation: Generation
    end: int

    @property
    def tokens(self) -> list[int]:
        return self.generation.tokens[self.generation.done : self.end]


class Batch(ABC):
    """Rows of one model. `share`: what steps without pieces should have of the time of those with, or rows would get
    too few tokens beside long prompts."""

    share: float

    def __init__(self, model: nn.Module, adapters: AdapterLayers, eos_ids: Collection[int]) -> None:
        self._model = model
        self._adapters = adapters
        self._eos_ids = eos_ids
        self.rows: list[Generation] = []

    @abstractmethod
    def start(self, generation: Generation, known: list[Any] | None) -> None:
        """Give a generation caches of its own: `known`, which hold its first tokens and are nobody else's, or empty
        ones."""

    @abstractmethod
    def join(self, generation: Generation) -> None:
        """Take in a row whose tokens are computed up to the last one."""

    @abstractmethod
    def leave(self, generation: Generation) -> None:
        """Let a row go, with its caches."""

    @abstractmethod
    def step(self, pieces: Sequence[Piece] = ()) -> Said:
        """Compute pieces of prompts, and give every row its next tokens. What is known now; the rows that ended with
        one of these tokens are out already.

        Raises what computing raises; then nothing has changed.
        """

    def _take(self, generation: Generation, token: int) -> str | None:
        """Add a token to its row; why the row ends with it, if it does."""
        generation.row.accept(token)
        generation.tokens.append(token)
        if token in self._eos_ids:
            return "stop"
        return "length" if generation.generated >= generation.job.max_tokens else None

    def _let_ended_go(self, said: Said) -> None:
        for generation, token in said:
            if token.finish is not None:
                self.leave(generation)


class Read:
    """Choices as the host knows them."""

    def __init__(self, chosen: Chosen) -> None:
        self.ids: list[int] = np.asarray(chosen.tokens).tolist()
        self._logprobs: list[float] = np.asarray(chosen.logprobs).tolist()
        self._tops: Sequence[Sequence[Sequence[float]]] = [np.asarray(array).tolist() for array in chosen.top or ()]

    def token(self, place: int, generation: Generation, finish: str | None) -> Token:
        wanted = generation.row.top
        top: tuple[tuple[int, float], ...] = ()
        if self._tops and wanted:
            ids, logprobs = self._tops
            likeliest = zip(ids[place][:wanted], logprobs[place][:wanted], strict=True)
            top = tuple((int(token), logprob) for token, logprob in likeliest)
        return Token(self.ids[place], self._logprobs[place], finish, top)
