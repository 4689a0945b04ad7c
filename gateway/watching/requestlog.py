"""The request log: one line for each turn that has ended.

Owns what a line tells: who asked over which wire, who answered and why, how it ended, tokens, seconds by phase; and
what was said, only where the settings ask for it. Knows nothing of how lines are written.
"""

from __future__ import annotations

from typing import Any

import structlog

from gateway.answering.turn import Turn


class RequestLog:
    """`content`: whether a line tells what was said, for clients that let it be recorded."""

    def __init__(self, *, content: bool) -> None:
        self._content = content
        self._log = structlog.get_logger("request")

    def ended(self, turn: Turn) -> None:
        """A turn is over."""
        ask, decision, usage = turn.ask, turn.decision, turn.usage
        known: dict[str, Any] = {
            "trace": turn.id,
            "client": ask.client,
            "wire": ask.wire,
            "arm": decision.arm,
            "reason": decision.reason,
            "state": turn.state,
            "model": turn.model,
            "seconds": turn.seconds,
        }
        if usage is not None:
            known |= {"prompt_tokens": usage.prompt_tokens, "completion_tokens": usage.completion_tokens}
        if turn.error:
            known["error"] = turn.error_class
        if self._content and ask.rights.record:
            known |= {"request": ask.request.messages, "answer": turn.answer, "message": turn.error}
        self._log.info("request", **known)
