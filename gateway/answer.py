"""How a request is answered: decide → draft → verify → commit, or escalate → record.

Owns that order and nothing else: the rules are router's, bytes travel in backends, what was decided ends in the turn.
Knows nothing of HTTP or of the wire the client speaks.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Protocol

import msgspec

from distill.trace import Draft, Served, Trace
from gateway.arms import Arm
from gateway.errors import (
    BackendBroken,
    BackendError,
    BackendRefused,
    BackendUnreachable,
    GatewayError,
    MayNotLeave,
)
from gateway.limits import until
from gateway.spend import Spend
from gateway.stream import Chunk, Collector, Event
from gateway.turn import Ask, Turn
from router.chat import ChatResponse, Choice, ToolCall
from router.decision import Arm as ArmName
from router.decision import Decision
from router.policy import STUDENT_CALL, Rules, after, before

_decode = msgspec.json.Decoder(ChatResponse).decode


class TakesTraces(Protocol):
    def put(self, trace: Trace) -> None: ...


class Whole(msgspec.Struct):
    """A finished answer. `body` is its JSON."""

    body: bytes
    response: ChatResponse


class Live(msgspec.Struct):
    """An answer under way: its events in the batches they come in."""

    batches: AsyncIterator[list[Event]]


class Cascade:
    """Answers turns with two arms. `rules` is asked at each request, so that settings may change."""

    def __init__(
        self, student: Arm, teacher: Arm, rules: Callable[[], Rules], recorder: TakesTraces, spend: Spend
    ) -> None:
        self._arms: dict[ArmName, Arm] = {"student": student, "teacher": teacher}
        self._remote = frozenset(name for name, arm in self._arms.items() if arm.remote)
        self._rules = rules
        self._recorder = recorder
        self._spend = spend

    @asynccontextmanager
    async def answer(self, turn: Turn) -> AsyncIterator[Whole | Live]:
        """The answer to a turn, while it lasts; when the block is left the turn is recorded.

        A student's answer comes whole and verified, or as the client asked for where it named the student. Raises
        GatewayError when nobody can answer; leaving the block early cancels all work.
        """
        try:
            async with until(turn.ask.deadline), AsyncExitStack() as stack:
                decision = self._before(turn)
                if decision is None:
                    decision, draft = await self._draft(turn)
                else:
                    draft = None
                turn.decision = decision
                self._check(turn)
                yield _commit(turn, draft) if draft is not None else await self._relay(turn, stack)
            turn.state = "completed"
        except GatewayError as error:
            turn.state, turn.error = "failed", f"{type(error).__name__}: {error}"
            raise
        finally:
            if turn.asked == "teacher":
                self._spend.count(turn)
            if turn.ask.traced:
                self._recorder.put(turn.trace())

    def _before(self, turn: Turn) -> Decision | None:
        ask, rules = turn.ask, self._rules()
        barred = self._barred(ask)
        decision = before(
            ask.request, rules, conversation=ask.conversation, requested=ask.requested, size=ask.size, barred=barred
        )
        if decision is None and not barred and not self._arms["student"].is_ready:
            return Decision(arm="teacher", reason="student_failed", detail="not ready")
        return decision

    def _barred(self, ask: Ask) -> frozenset[ArmName]:
        """The arms that may not see the request."""
        return frozenset() if ask.rights.may_leave_machine else self._remote

    def _check(self, turn: Turn) -> None:
        """Refuse a turn whose arm may not be asked; nobody else could answer it."""
        decision = turn.decision
        if decision.arm in self._barred(turn.ask):
            why = f"{decision.reason}: {decision.detail}" if decision.detail else decision.reason
            if decision.reason == "student_failed":
                raise BackendUnreachable(
                    f"The student failed ({why}), and this key's requests may not leave the machine."
                )
            raise MayNotLeave(
                f"This key's requests may not leave the machine, and the {decision.arm}, elsewhere, is the only one "
                f"who could answer ({why})."
            )
        if decision.arm == "teacher" and self._spend.reached:
            raise self._spend.refusal()

    async def _draft(self, turn: Turn) -> tuple[Decision, ChatResponse | None]:
        """The student's turn and what is decided on it; no response when the teacher is to answer."""
        student = self._arms["student"]
        if not student.up:
            await student.ready()  # only where there is no teacher to answer instead
        since = turn.elapsed
        try:
            response = _read(await student.backend.complete(_draft_body(turn, student)))
        except BackendError as error:
            turn.mark("draft", since)
            return _student_failed(error), None
        turn.mark("draft", since)
        choice = response.choices[0]
        decision = after(turn.ask.request, choice, self._rules(), self._barred(turn.ask))
        turn.draft = Draft(
            message=choice.message,
            finish_reason=choice.finish_reason,
            logprobs=choice.logprobs.content if choice.logprobs else None,
            note=response.nightschool,
            seconds=turn.elapsed - since,
        )
        if decision.arm == "teacher":
            return decision, None
        if response.prompt_token_ids is not None and choice.token_ids is not None:
            turn.served = Served(prompt=response.prompt_token_ids, completion=choice.token_ids)
        return decision, response

    async def _relay(self, turn: Turn, stack: AsyncExitStack) -> Whole | Live:
        """The answer of the arm that was decided on, as it comes."""
        arm = self._arms[turn.decision.arm]
        since = turn.elapsed
        await arm.ready()
        turn.asked = arm.name
        body = {**turn.ask.body, "model": turn.ask.model or arm.model, **_between_us(turn, arm)}
        if not turn.ask.streamed:
            raw = await arm.backend.complete(msgspec.json.encode(body))
            turn.mark("first_byte")
            turn.mark(arm.name, since)
            response = _read(raw)
            _keep(turn, response)
            return Whole(raw, response)
        body["stream_options"] = {**(turn.ask.body.get("stream_options") or {}), "include_usage": True}
        batches = await stack.enter_async_context(arm.backend.stream(msgspec.json.encode(body)))
        turn.mark("first_byte")
        collected = _collected(turn, arm.name, since, batches)
        stack.push_async_callback(collected.aclose)  # so that the turn holds what was said before it is recorded
        return Live(collected)


def _draft_body(turn: Turn, student: Arm) -> bytes:
    body = {**turn.ask.body, "model": student.model, "stream": False, **_between_us(turn, student)}
    body.pop("stream_options", None)
    if student.capabilities is not None and student.capabilities.logprobs:
        body["logprobs"] = True
    if student.capabilities is not None and student.capabilities.token_ids:
        body["return_token_ids"] = True
    return msgspec.json.encode(body)


def _between_us(turn: Turn, arm: Arm) -> dict[str, Any]:
    """What an engine of ours is told besides: whose turn it is, and whether anything of it may be written to disk."""
    if not arm.local:
        return {}
    return {"nightschool": {"conversation": turn.ask.conversation, "private": not turn.ask.traced}}


def _student_failed(error: BackendError) -> Decision:
    if isinstance(error, BackendRefused) and error.code == "context_length_exceeded":
        return Decision(arm="teacher", reason="capability", detail="context")
    return Decision(arm="teacher", reason="student_failed", detail=str(error)[:200])


def _read(raw: bytes) -> ChatResponse:
    try:
        response = _decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BackendBroken(f"The model's answer is not a chat completion: {error}") from error
    if not response.choices:
        raise BackendBroken("The model's answer has no choices.")
    return response


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
    _keep(turn, plain)
    turn.mark("first_byte")
    return Whole(msgspec.json.encode(plain), plain)


def _keep(turn: Turn, response: ChatResponse) -> None:
    choice = response.choices[0]
    turn.answer, turn.finish_reason = choice.message, choice.finish_reason
    turn.usage, turn.model, turn.wire_id = response.usage, response.model, response.id
    turn.note = turn.note or response.nightschool


async def _collected(
    turn: Turn, phase: str, since: float, batches: AsyncIterator[list[Event]]
) -> AsyncGenerator[list[Event], None]:
    """The events, put together for the trace as they pass."""
    collector = Collector()
    try:
        async for batch in batches:
            for event in batch:
                if event.chunk is not None:
                    _refuse_error(event.chunk)
                    collector.add(event.chunk)
            yield batch
    finally:
        turn.mark(phase, since)
        turn.answer, turn.finish_reason = collector.message, collector.finish_reason
        turn.usage, turn.model, turn.wire_id = collector.usage, collector.model, collector.id


def _refuse_error(chunk: Chunk) -> None:
    if chunk.error is not None:
        said: Any = chunk.error.get("message") if isinstance(chunk.error, dict) else chunk.error
        raise BackendBroken(f"The model's stream broke off: {said}")
