"""The student's draft of a turn: held until it may be released.

Owns what the student is asked and how its answer is held: whole, or with `hold = "fast"` until enough text is there to
go on live. Decides nothing: the rules are router's. Knows nothing of the teacher or of the client's wire.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Set
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

import msgspec

from distill.trace import Draft
from gateway.answering.arms import Arm
from gateway.answering.calls import Call
from gateway.answering.reply import Live, Whole, between_us, keep, keep_collected, keep_ids, read
from gateway.answering.serving import Serving
from gateway.answering.turn import Turn
from gateway.backends.stream import Collector, Event
from gateway.errors import BackendBroken, BackendError, BackendRefused
from router.chat import ChatResponse, Choice, ToolCall
from router.decision import STUDENT_CALL, Decision
from router.decision import Arm as ArmName
from router.policy import after, floor, released
from router.scorer import Look

_FAST_TOKENS = 32  # of text, after which a fast turn is released


async def draft(
    turn: Turn, student: Arm, serving: Serving, look: Look, barred: Set[ArmName]
) -> tuple[Decision, Whole | None]:
    """The student's whole turn and what is decided on it; nothing to serve when the teacher is to answer.

    `barred` arms may not see the request.
    """
    since, call, rules = turn.elapsed, turn.call(student, is_draft=True), serving.rules
    asked = _body(turn, student, serving)
    if student.local and not barred:
        asked["nightschool"]["floor"] = floor(rules, look.name)
    call.model, body = asked["model"], msgspec.json.encode(asked)
    try:
        with call:
            with turn.waiting:
                raw = await student.backend.complete(body)
            call.began()
            call.response = read(raw)
    except BackendError as error:
        turn.mark("draft", since)
        call.decision = _failed(error)
        return call.decision, None
    turn.mark("draft", since)
    return _judged(turn, call, call.response, partial(after, rules=rules, look=look, barred=barred), since)


async def draft_live(
    turn: Turn, student: Arm, serving: Serving, look: Look, barred: Set[ArmName], stack: AsyncExitStack
) -> tuple[Decision, Whole | Live | None]:
    """As `draft`, but a turn of text is let go as soon as its beginning is long and sure enough."""
    since, call, rules = turn.elapsed, turn.call(student, is_draft=True), serving.rules
    body = {**_body(turn, student, serving), "stream": True, "stream_options": {"include_usage": True}}
    call.model = body["model"]
    held: list[Event] = []
    collector = Collector()
    try:
        async with AsyncExitStack() as trial:
            trial.enter_context(call)
            with turn.waiting:
                batches = await trial.enter_async_context(student.backend.stream(msgspec.json.encode(body)))
            call.began()
            batches = turn.waiting.over(batches)
            async for batch in batches:
                held += batch
                collector.take(batch)
                if collector.full:
                    raise BackendBroken("The student's draft has no end.")
                if collector.tokens < _FAST_TOKENS or collector.has_calls or collector.finish_reason:
                    continue
                decision = released(turn.ask.request, collector.choice, rules)
                if decision is not None:
                    turn.mark("draft", since)
                    turn.mark("first_byte")
                    call.decision = decision
                    stack.push_async_exit(trial.pop_all())
                    rest = _rest(turn, call, held, batches, collector)
                    stack.push_async_callback(rest.aclose)  # as with a teacher's answer
                    return decision, Live(rest)
    except BackendError as error:
        turn.mark("draft", since)
        call.decision = _failed(error)
        return call.decision, None
    turn.mark("draft", since)
    call.response = collector.response
    return _judged(turn, call, call.response, partial(after, rules=rules, look=look, barred=barred), since)


async def _rest(
    turn: Turn, call: Call, held: list[Event], batches: AsyncIterator[list[Event]], collector: Collector
) -> AsyncGenerator[list[Event], None]:
    """What was held and what follows. A call after released text cannot be taken back, so it ends the answer."""
    try:
        yield [event.plain() for event in held]
        async for batch in batches:
            collector.take(batch)
            if collector.has_calls:
                raise BackendBroken("The student began a tool call after its text had been released; ask again.")
            yield [event.plain() for event in batch]
    finally:
        keep_collected(turn, call, collector)


def _failed(error: BackendError) -> Decision:
    """What is decided when the student could not draft."""
    if isinstance(error, BackendRefused) and error.code == "context_length_exceeded":
        return Decision(arm="teacher", reason="capability", detail="context")
    return Decision(arm="teacher", reason="student_failed", detail=str(error)[:200])


def _body(turn: Turn, student: Arm, serving: Serving) -> dict[str, Any]:
    model = serving.adapter or student.base
    body = {**turn.ask.body, "model": model, "stream": False, **between_us(turn, student)}
    body.pop("stream_options", None)
    if serving.prompting is not None:
        body["messages"] = serving.prompting.messages(turn.ask.request, body["messages"])
    if student.capabilities is not None and student.capabilities.logprobs:
        body["logprobs"] = True
    able = student.capabilities is not None and student.capabilities.token_ids
    if able and serving.prompting is None:  # ids of what the trace holds, or none
        body["return_token_ids"] = True
    return body


def _judged(
    turn: Turn, call: Call, response: ChatResponse, decide: Callable[..., Decision], since: float
) -> tuple[Decision, Whole | None]:
    choice = response.choices[0]
    decision = call.decision = decide(turn.ask.request, choice, note=response.nightschool)
    turn.draft = Draft(
        message=choice.message,
        finish_reason=choice.finish_reason,
        logprobs=choice.logprobs.content if choice.logprobs else None,
        note=response.nightschool,
        seconds=turn.elapsed - since,
    )
    if decision.arm == "teacher":
        return decision, None
    return decision, _commit(turn, response)


def _commit(turn: Turn, response: ChatResponse) -> Whole:
    """The student's verified turn as the client gets it: without what only we asked for, calls marked as its own."""
    choice = response.choices[0]
    calls = choice.message.tool_calls
    message = choice.message
    if calls:
        own = [ToolCall(id=STUDENT_CALL + secrets.token_hex(11), function=call.function) for call in calls]
        message = msgspec.structs.replace(message, tool_calls=own)
    turn.note = response.nightschool
    plain = ChatResponse(
        id=response.id,
        created=response.created,
        model=response.model,
        choices=[Choice(message=message, finish_reason=choice.finish_reason)],
        usage=response.usage,
    )
    keep_ids(turn, response)
    keep(turn, plain)
    turn.mark("first_byte")
    return Whole(msgspec.json.encode(plain), plain)
