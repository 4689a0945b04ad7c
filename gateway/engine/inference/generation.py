"""One job on its way through the generation side: what is computed of it, and what has been said.

Owns the shape only. The scheduler orders generations, the model runner computes them. Knows nothing of text or HTTP.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from gateway.engine.inference.job import Job
from gateway.engine.inference.lookup import Lookup, Trust
from gateway.engine.inference.sampling import Row


@dataclass(eq=False)
class Generation:
    """`tokens` are the prompt and what was generated since; keys and values of the first `done` are in `caches`."""

    job: Job
    tokens: list[int]
    row: Row
    caches: list[Any] | None = None  # one for each layer; while the row is in a batch, the batch has them
    done: int = 0
    cached: int | None = None  # tokens that were found in the prefix cache; None: not looked up yet
    arrived: float = field(default_factory=time.monotonic)
    lookup: Lookup = field(default_factory=Lookup)
    forced: Trust = field(default_factory=lambda: Trust(19.0, 20.0))  # in what a grammar leaves no choice about

    @classmethod
    def of(cls, job: Job) -> Generation:
        return cls(job, list(job.prompt), Row(job.sampling, job.prompt, job.constraint, job.top_logprobs))

    @property
    def generated(self) -> int:
        return len(self.tokens) - len(self.job.prompt)

    @property
    def to_compute(self) -> int:
        """Tokens to go before the next one can be chosen, the last one excepted: it is computed in the batch."""
        return len(self.tokens) - 1 - self.done

    def back_to_start(self) -> None:
        """Forget what was computed; what was said stays said."""
        self.caches, self.done, self.cached = None, 0, None
