"""Repeated requests: which may be answered as before, and what makes two of them the same.

Owns the key and the conditions on both sides. Where the answers lie is cache's; knows nothing of wires.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable
from typing import Any

import msgspec

from gateway.answering.arms import Arm
from gateway.answering.cache import Kept, ResponseCache
from gateway.answering.reply import Whole, keep
from gateway.answering.serving import Serving
from gateway.answering.teachers import Teachers
from gateway.answering.turn import Ask, Turn
from router.chat import ChatRequest, ChatResponse, Choice
from router.decision import Decision
from router.policy import in_holdout

_NO_MATTER = frozenset(  # fields that change no answer; the model's name counts as what it was resolved to
    {
        "model",
        "stream",
        "stream_options",
        "user",
        "metadata",
        "store",
        "service_tier",
        "safety_identifier",
        "prompt_cache_key",
        "prompt_cache_retention",
    }
)
_SAYS_MORE = ("functions", "audio", "modalities", "web_search_options", "return_token_ids")  # than is kept of an answer

_decode = msgspec.json.Decoder(ChatResponse).decode


class Repeats:
    """The repeats of requests to one student and its teachers. `serving` is asked when an answer is to be kept."""

    def __init__(
        self, cache: ResponseCache, student: Arm, teachers: Teachers, serving: Callable[[Ask], Serving]
    ) -> None:
        self._cache = cache
        self._student = student
        self._teachers = teachers
        self._serving = serving

    def answer_to(self, turn: Turn, serving: Serving) -> Whole | None:
        """The answer that the same request got before; None: there is none, or it may not be given again."""
        if not (self._cache.on and _may_repeat(turn.ask)):
            return None
        turn.key = self._key(turn.ask, serving)
        kept = self._cache.find(turn.key)
        if kept is None:
            return None
        turn.decision = Decision(arm=kept.arm, reason="cached", detail=kept.trace)
        response = msgspec.structs.replace(  # an answer of its own: clients take equal ids for the same message
            _decode(kept.body), id=f"chatcmpl-{secrets.token_hex(12)}", created=int(time.time())
        )
        keep(turn, response)
        turn.mark("first_byte")
        return Whole(msgspec.json.encode(response), response)

    def keep(self, turn: Turn) -> None:
        """Keep the answer of a turn that was completed. Not one that was cut off or that somebody stood in with, nor
        one during which the adapters changed."""
        response = turn.response
        if not turn.key or response is None or turn.decision.reason in ("cached", "teacher_failed") or turn.tried:
            return
        if turn.finish_reason not in ("stop", "tool_calls"):
            return
        if turn.key != self._key(turn.ask, self._serving(turn.ask)):
            return
        plain = [Choice(choice.message, choice.finish_reason) for choice in response.choices[:1]]
        answer = ChatResponse("", 0, response.model, plain, usage=response.usage)
        self._cache.put(turn.key, Kept(msgspec.json.encode(answer), turn.decision.arm, turn.id))

    def _key(self, ask: Ask, serving: Serving) -> bytes:
        """A digest of all that the answer hangs on: who asks and may see it, who would answer by which rules, and what
        is asked."""
        rules = serving.rules
        parts: list[Any] = [
            ask.client,
            ask.rights.may_leave_machine,
            ask.requested,
            ask.model,
            msgspec.structs.replace(rules, worth=0.0),  # what models took lately changes no answer that was given
            in_holdout(ask.conversation, rules.holdout),
            serving.adapter,
            serving.scorer.name,
            serving.prompting.digest if serving.prompting is not None else "",
            [_identity(arm) for arm in (self._student, *self._teachers.arms)],
            {name: value for name, value in ask.body.items() if name not in _NO_MATTER},
        ]
        return hashlib.blake2b(msgspec.json.encode(parts, order="deterministic"), digest_size=32).digest()


def _identity(arm: Arm) -> tuple[Any, ...]:
    told = arm.prompting.digest if arm.prompting is not None else ""
    return arm.label, arm.backend.address, arm.base, arm.live, arm.version, told


def _may_repeat(ask: Ask) -> bool:
    """Only what the client allows, what may be kept at all, and what a model would answer the same again."""
    return ask.may_repeat and ask.traced and _is_deterministic(ask.request)


def _is_deterministic(request: ChatRequest) -> bool:
    if request.temperature != 0 or request.n not in (None, 1):
        return False
    return not (request.logprobs or request.top_logprobs or any(request.extra.get(name) for name in _SAYS_MORE))
