"""One request while it is answered: its choices grow side by side, token by token.

Owns what a token means for its choice: text, stop strings, pieces that became certain, the reason for the end, log-
probabilities. Knows nothing of JSON, frames or sockets.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing

from gateway.engine.doubt import Doubt
from gateway.engine.inference.job import Job, Started, Token
from gateway.engine.reading import Parsed, Piece, Reader
from gateway.engine.served import ServedModel
from gateway.engine.text import TextStream
from gateway.engine.toolcalls.form import Ending
from router.chat import ChatRequest, FunctionCall, Usage

_Arrivals = asyncio.Queue[tuple[int, Token] | asyncio.Task[None]]


class Candidate:
    """One choice. `one_call`: its generation ends with the first call, and nothing behind that counts; `doubt`: it
    breaks off where that rises."""

    def __init__(
        self, job: Job, text: TextStream, reader: Reader, *, one_call: bool = False, doubt: Doubt | None = None
    ) -> None:
        self.job = job
        self.tokens: list[Token] = []
        self.parsed = Parsed()
        self.cached = 0
        self.ended: str | None = None
        self._text = text
        self._reader = reader
        self._one_call = one_call
        self._doubt = doubt

    @property
    def raw(self) -> str:
        """What the model wrote, marks included."""
        return self._text.text

    @property
    def finish_reason(self) -> str | None:
        """`length` wins over `tool_calls`: the client must know that something was cut off."""
        return "tool_calls" if self.parsed.calls and self.ended == "stop" else self.ended

    def take(self, token: Token) -> list[Piece]:
        """What one more token makes certain."""
        self.tokens.append(token)
        self._text.feed(token.id)
        self.ended = "stop" if self._text.stopped else token.finish
        if self.ended is None and self._doubts(token):
            self.ended = "doubtful"
        if self.ended is None:
            pieces = self._reader.feed(self._text.text[: self._text.settled()])
        else:
            ending = Ending.WHOLE if self.ended == "stop" else Ending.CUT
            pieces = self._reader.feed(self._text.finish(), ending)
        if self._one_call:
            pieces = self._to_first_call(pieces)
        self.parsed.take(pieces)
        return pieces

    def _doubts(self, token: Token) -> bool:
        if self._doubt is None:
            return False
        begun = len(self._text.text) if self._reader.thinking else self._reader.at
        return self._doubt.rises(self._text.text, token.logprob, begun)

    def _to_first_call(self, pieces: list[Piece]) -> list[Piece]:
        first = next((i for i, piece in enumerate(pieces) if isinstance(piece, FunctionCall)), None)
        if first is None:
            return pieces
        self.ended = self.ended or "stop"
        return pieces[: first + 1]


class Turn:
    """A request and its choices, in order. `ignored` names its parameters that have no effect."""

    def __init__(
        self,
        served: ServedModel,
        request: ChatRequest,
        candidates: list[Candidate],
        *,
        wants_ids: bool = False,
        ignored: list[str] | None = None,
    ) -> None:
        self.served = served
        self.request = request
        self.candidates = candidates
        self.wants_ids = wants_ids
        self.ignored = ignored or []
        self.id = f"chatcmpl-{uuid.uuid4().hex}"
        self.created = int(time.time())

    @property
    def jobs(self) -> list[Job]:
        return [candidate.job for candidate in self.candidates]

    @property
    def prompt(self) -> list[int]:
        return self.candidates[0].job.prompt

    @property
    def finish(self) -> str | None:
        """Why the first choice ended; None while any has not."""
        ended = all(candidate.ended for candidate in self.candidates)
        return self.candidates[0].finish_reason if ended else None

    def usage(self) -> Usage:
        """The prompt counts once, however many choices it has; what was cached of it is told of the first."""
        asked, said = len(self.prompt), sum(len(candidate.tokens) for candidate in self.candidates)
        return Usage(asked, said, asked + said, prompt_tokens_details={"cached_tokens": self.candidates[0].cached})

    async def events(self) -> AsyncGenerator[tuple[int, list[Piece]]]:
        """Generate all choices; each token comes as its choice's index and what it made certain.

        Raises what generating raises, for whichever choice. Closing early cancels them all.
        """
        arrived: _Arrivals = asyncio.Queue()
        running = [asyncio.create_task(self._run(index, arrived)) for index in range(len(self.candidates))]
        for task in running:
            task.add_done_callback(arrived.put_nowait)
        try:
            left = len(running)
            while left:
                event = await arrived.get()
                if isinstance(event, asyncio.Task):
                    left -= 1
                    if not event.cancelled():
                        event.result()
                    continue
                index, token = event
                candidate = self.candidates[index]
                if candidate.ended is None:
                    yield index, candidate.take(token)
                if candidate.ended is not None:
                    running[index].cancel()
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def _run(self, index: int, arrived: _Arrivals) -> None:
        candidate = self.candidates[index]
        async with aclosing(self.served.generator.run(candidate.job)) as events:
            async for event in events:
                if isinstance(event, Started):
                    candidate.cached = event.cached
                else:
                    arrived.put_nowait((index, event))
