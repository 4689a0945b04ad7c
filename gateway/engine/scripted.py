"""A stand-in for the generation side that plays a script, for tests of everything between the socket and the tokens.

Contract: it is a Generator. A job's answer is the text of the first line of the script whose key occurs in the job's
prompt (an empty key always does; without one the answer is empty), as tokens of the real tokenizer, each with the
log-probability it is given, ended by the model's end token or cut at the job's limit. Nothing is cached, and nothing
but `max_tokens` of a job's sampling or grammar is heeded. It loads no weights and knows no language.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

from distill.mlx.load import ModelFacts, load
from distill.render import Renderer
from gateway.engine.inference.generator import Generator
from gateway.engine.inference.job import Job, Started, Token


class ScriptedGenerator(Generator):
    """Answers for the model in `folder`. `script` holds (key, text) pairs; `running` and `stats` stay at nothing."""

    def __init__(
        self, folder: Path, renderer: Renderer, script: Sequence[tuple[str, str]], *, logprob: float = 0.0
    ) -> None:
        super().__init__(lambda: load(folder), renderer.eos_ids)
        self._folder = folder
        self._renderer = renderer
        self._script = script
        self._logprob = logprob
        self._alive = False

    async def open(self) -> ModelFacts:
        self._alive = True
        config = json.loads(await asyncio.to_thread((self._folder / "config.json").read_text))
        return ModelFacts(config, "scripted", int(config.get("max_position_embeddings", 4096)))

    async def close(self) -> None:
        self._alive = False

    @property
    def alive(self) -> bool:
        return self._alive

    @property
    def longest(self) -> int:
        return 1 << 40

    async def run(self, job: Job) -> AsyncGenerator[Started | Token]:
        yield Started(0)
        prompt = self._renderer.decode(job.prompt)
        text = next((text for key, text in self._script if key in prompt), "")
        ids = [*self._renderer.encode(text), min(self._renderer.eos_ids)]
        for index, token in enumerate(ids):
            await asyncio.sleep(0)  # others take their turn, as between two steps
            last = "stop" if index == len(ids) - 1 else "length" if index == job.max_tokens - 1 else None
            top = tuple((token + other, self._logprob - other) for other in range(job.top_logprobs))
            yield Token(token, self._logprob, last, top)
            if last:
                return
