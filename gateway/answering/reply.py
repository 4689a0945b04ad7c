"""An answer on its way to the client: whole, or live. Owns the two forms and what a turn keeps of an answer.

Knows nothing of who answers or of the client's wire.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Any

import msgspec

from distill.trace import Served
from gateway.answering.arms import Arm
from gateway.answering.calls import Call
from gateway.answering.turn import Turn
from gateway.backends.stream import MOST_KEPT, Collector, Event
from gateway.errors import BackendBroken
from router.chat import ChatResponse

_IDS = "return_token_ids"
_decode = msgspec.json.Decoder(ChatResponse).decode


class Whole(msgspec.Struct):
    """A finished answer. `body` is its JSON."""

    body: bytes
    response: ChatResponse


class Live(msgspec.Struct):
    """An answer under way: its events in the batches they come in."""

    batches: AsyncIterator[list[Event]]


def read(raw: bytes) -> ChatResponse:
    """A backend's answer. Raises BackendBroken for what is none."""
    try:
        response = _decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BackendBroken(f"The model's answer is not a chat completion: {error}") from error
    if not response.choices:
        raise BackendBroken("The model's answer has no choices.")
    return response


def between_us(turn: Turn, arm: Arm) -> dict[str, Any]:
    """What an engine of ours is told besides: whose turn it is, and whether anything of it may be written to disk."""
    if not arm.local:
        return {}
    return {"nightschool": {"conversation": turn.ask.conversation, "private": not turn.ask.traced}}


def wants_ids(turn: Turn, arm: Arm) -> dict[str, Any]:
    """What an engine of ours is asked besides, so that the trace has the token ids; nothing where the client asks for
    them itself, or the model is sent more than the trace holds."""
    able = arm.local and arm.prompting is None and arm.capabilities is not None and arm.capabilities.token_ids
    return {_IDS: True} if able and _IDS not in turn.ask.body else {}


def keep(turn: Turn, response: ChatResponse) -> None:
    """Note in the turn what was answered."""
    turn.response = response
    turn.usage, turn.model, turn.wire_id = response.usage, response.model, response.id
    turn.note = turn.note or response.nightschool
    if response.choices:
        choice = response.choices[0]
        turn.answer, turn.finish_reason = choice.message, choice.finish_reason
        keep_ids(turn, response)


def keep_ids(turn: Turn, response: ChatResponse) -> None:
    """Note in the turn the token ids of what was answered, where they were told."""
    choice = response.choices[0]
    if response.prompt_token_ids is not None and choice.token_ids is not None:
        turn.served = Served(prompt=response.prompt_token_ids, completion=choice.token_ids)


def keep_collected(turn: Turn, call: Call, collector: Collector) -> None:
    """Note in the turn what was put together of a stream; of one that was too long only that much is kept."""
    call.response = collector.response
    keep(turn, call.response)
    if collector.full:
        turn.cut = True
        turn.finish_reason = "length"
        turn.error = f"AnswerTooLong: only the first {MOST_KEPT} bytes of the answer are kept"


async def collected(
    turn: Turn,
    call: Call,
    phase: str,
    since: float,
    batches: AsyncIterator[list[Event]],
    plain: Callable[[Event], Event] | None = None,
) -> AsyncGenerator[list[Event], None]:
    """The events, put together for the trace as they pass; the client gets them as `plain` leaves them."""
    collector = Collector()
    try:
        with call:
            async for batch in turn.waiting.over(batches):
                collector.take(batch)
                yield batch if plain is None else [plain(event) for event in batch]
    finally:
        turn.mark(phase, since)
        keep_collected(turn, call, collector)
