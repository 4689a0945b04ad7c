"""A turn: one request while it is being answered, and the trace it becomes.

Owns what is known so far and its times. Knows nothing of who decides or how bytes travel.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Mapping
from typing import Any

import msgspec

from distill.trace import Draft, Served, State, Trace, conversation_key
from gateway.access.keys import Rights
from gateway.answering.arms import Arm as AskedArm
from gateway.answering.calls import Call, Wait
from gateway.answering.serving import Serving
from router.chat import AnswerMessage, ChatRequest, ChatResponse, EngineNote, Usage
from router.decision import Arm, Decision

_NAMES = ("conversation", "conversation_id", "session_id", "thread_id")  # as clients' metadata call a conversation
_LONGEST_NAME = 200


class Ask(msgspec.Struct, frozen=True):
    """A request as it came in over a wire. `body` is what a backend is sent, `size` how many bytes the client sent,
    `wire_id` the answer's id where the wire gives it, `client` who sent it and `deadline` when it must be answered, on
    the event loop's clock (None: whenever). `may_repeat`: an answer that was given before will do."""

    request: ChatRequest
    body: dict[str, Any]
    size: int
    conversation: str
    requested: Arm | None = None
    model: str = ""  # the backend's model name where the request names one
    wire: str = "chat"
    wire_id: str = ""
    client: str = ""
    rights: Rights = Rights()
    deadline: float | None = None
    may_repeat: bool = False
    traceparent: str = ""  # of the client's own span, as W3C Trace Context writes it
    unread: Mapping[str, Any] = {}  # what of the client's body the request does not carry

    @property
    def traced(self) -> bool:
        return self.rights.record

    @property
    def streamed(self) -> bool:
        return bool(self.request.stream)

    @property
    def conversation_key(self) -> str:
        return conversation_key(self.client, self.conversation)


class Turn:
    """What happened to one request so far. Until somebody says otherwise it counts as aborted.

    `arrived` is when the request was there whole, on time.perf_counter; None: now.
    """

    def __init__(self, ask: Ask, arrived: float | None = None) -> None:
        self.id = f"trace-{secrets.token_hex(12)}"
        self.ask = ask
        self.decision = Decision(arm="teacher", reason="policy")
        self.serving: Serving | None = None  # with what it is answered, once that is settled
        self.state: State = "aborted"
        self.asked = ""  # the label of the arm whose answer is handed on, once it was asked for one
        self.response: ChatResponse | None = None  # the whole answer, once it is there
        self.answer: AnswerMessage | None = None
        self.finish_reason: str | None = None
        self.draft: Draft | None = None
        self.served: Served | None = None
        self.note: EngineNote | None = None
        self.usage: Usage | None = None
        self.model = ""
        self.wire_id = ""
        self.error = ""
        self.cut = False  # whether the answer was too long to be kept whole
        self.key = b""  # under which the answer may be given again; empty: it may not
        self.tried: list[str] = []  # teachers that could not answer, and why
        self.calls: list[Call] = []
        self.waiting = Wait()  # for models, and for the client to take what it is sent
        self.seconds: dict[str, float] = {}  # by phase
        now = time.perf_counter()
        self.started = now if arrived is None else arrived  # on time.perf_counter
        self.created = time.time() - (now - self.started)

    @property
    def elapsed(self) -> float:
        return time.perf_counter() - self.started

    @property
    def error_class(self) -> str:
        """What went wrong, without the words, which may quote a request; empty where nothing did."""
        return self.error.partition(":")[0]

    def call(self, arm: AskedArm, *, is_draft: bool = False) -> Call:
        """The arm is about to be asked."""
        call = Call(arm.label, arm.model, arm.backend.address, local=arm.local, is_draft=is_draft)
        self.calls.append(call)
        return call

    def mark(self, phase: str, since: float = 0.0) -> None:
        """Note how long a phase took, from `since` seconds after the start until now; the first mark stays."""
        self.seconds.setdefault(phase, round(self.elapsed - since, 6))

    def end(self) -> None:
        """Nothing more happens to the turn. What was not waiting is `overhead`, the gateway's own part."""
        self.mark("total")
        self.seconds["overhead"] = round(max(0.0, self.seconds["total"] - self.waiting.seconds), 6)

    def trace(self) -> Trace:
        request, decision, serving = self.ask.request, self.decision, self.serving
        if serving is not None and serving.chance < 1:
            chance = decision.propensity * serving.chance
            decision = msgspec.structs.replace(decision, propensity=chance)
        return Trace(
            id=self.id,
            created=self.created,
            conversation=self.ask.conversation,
            request=request,
            state=self.state,
            decision=decision,
            experiments=dict(serving.arms) if serving is not None else {},
            turn=sum(message.role == "assistant" for message in request.messages),
            answer=self.answer,
            finish_reason=self.finish_reason,
            draft=self.draft,
            served=self.served,
            note=self.note,
            usage=self.usage,
            seconds=self.seconds,
            model=self.model,
            wire=self.ask.wire,
            wire_id=self.ask.wire_id or self.wire_id,
            client=self.ask.client,
            error=self.error,
            tried=self.tried,
            teach=self.ask.rights.teach and not self.cut,  # what is learnt is whole
            may_leave_machine=self.ask.rights.may_leave_machine,
            unread=dict(self.ask.unread),
        )


def conversation_of(request: ChatRequest) -> str:
    """A name for the conversation where no header gives one: what the request's metadata call it, else how it begins,
    with the first user message and the tools.

    It stays the same at every turn; two conversations that begin alike share it.
    """
    told = request.metadata or {}
    if named := next((str(told[name]) for name in _NAMES if told.get(name)), ""):
        return named[:_LONGEST_NAME]
    first = next((message.text for message in request.messages if message.role == "user"), "")
    tools = msgspec.json.encode(request.tools) if request.tools else b""
    return "auto-" + hashlib.blake2b(first.encode(errors="replace") + b"\0" + tools, digest_size=10).hexdigest()
