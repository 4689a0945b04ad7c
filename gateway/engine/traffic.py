"""The chat requests under way: counted, timed, told in one log line each, and waited for before the process ends.

Owns what is known of a request from outside. Nothing that was said in it is logged. Knows nothing of routes or MLX.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any, cast

import structlog
from litestar.types import ASGIApp, Receive, Scope, Send

from gateway.engine.errors import EngineDown
from gateway.engine.inference.job import Job
from gateway.engine.metrics import Metrics, Timeline
from router.chat import Usage

_CHAT = "/v1/chat/completions"
_SCOPE_KEY = "nightschool.passage"

_log = structlog.get_logger("request")


class Passage:
    """One chat request from its arrival to its end."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._arrived = time.monotonic()
        self._prepared = self._arrived
        self._timelines: list[Timeline] = []
        self._known: dict[str, object] = {}
        self._outcome = "left"  # until somebody knows better
        self._usage: Usage | None = None
        self.jobs = 0

    def prepared(self, jobs: Sequence[Job], **known: object) -> None:
        """The request is checked and rendered; `known` goes into its log line."""
        self._prepared = time.monotonic()
        self._known = known
        self._timelines = [self._metrics.begun(job, self._arrived) for job in jobs]
        self.jobs = len(jobs)

    def finished(self, outcome: str, usage: Usage | None = None) -> None:
        """It ended so: a finish reason, or "failed"."""
        self._outcome, self._usage = outcome, usage

    def refused(self, reason: str, status: int) -> None:
        """It was answered with an error."""
        self._outcome = "refused" if status != 500 else "failed"
        self._known = {**self._known, "reason": reason}

    def close(self) -> None:
        """Its connection has nothing more to do with it: count it and tell of it."""
        self._metrics.ended(self._outcome)
        counts = {}
        if self._usage is not None:
            cached = (self._usage.prompt_tokens_details or {}).get("cached_tokens", 0)
            counts = {
                "prompt_tokens": self._usage.prompt_tokens,
                "cached_tokens": cached,
                "generated_tokens": self._usage.completion_tokens,
            }
        _log.info("request", **self._known, outcome=self._outcome, **counts, **self._seconds())

    def _seconds(self) -> dict[str, float]:
        """By phase: checked and rendered; queued and prompt computed; answer generated."""
        firsts = [line.first for line in self._timelines if line.first is not None]
        newest = [line.newest for line in self._timelines if line.newest is not None]
        phases = {"seconds": time.monotonic() - self._arrived, "rendering": self._prepared - self._arrived}
        if firsts:
            phases["to_first_token"] = min(firsts) - self._prepared
            phases["generating"] = max(newest) - min(firsts)
        return {name: round(seconds, 4) for name, seconds in phases.items()}


class Traffic:
    """An ASGI app in front of another: every chat request gets a Passage, open exactly as long as its connection."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics
        self._open: set[Passage] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._closing: float | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or scope["path"] != _CHAT:  # type: ignore[comparison-overlap]  # as in api.door
            await self._app(scope, receive, send)
            return
        passage = Passage(self._metrics)
        cast(dict[str, Any], scope)[_SCOPE_KEY] = passage
        self._open.add(passage)
        self._idle.clear()
        try:
            await self._app(scope, receive, send)
        finally:
            passage.close()
            self._open.discard(passage)
            if not self._open:
                self._idle.set()

    @property
    def jobs(self) -> int:
        """Jobs of all the requests that are prepared and not over."""
        return sum(passage.jobs for passage in self._open)

    def check_open(self) -> None:
        """Raises EngineDown while the engine is on its way out."""
        if self._closing is not None:
            raise EngineDown("The engine is shutting down; try again in a moment.", retry_after=max(1.0, self._closing))

    async def close(self, seconds: float) -> None:
        """Let nobody in any more, and wait up to so long for those inside."""
        self._closing = seconds
        try:
            async with asyncio.timeout(seconds):
                await self._idle.wait()
        except TimeoutError:
            _log.warning("shutting down with requests under way", requests=len(self._open))


def passage_of(scope: Scope) -> Passage | None:
    """The passage of a request's scope; None for what is no chat request."""
    return cast(dict[str, Any], scope).get(_SCOPE_KEY)
