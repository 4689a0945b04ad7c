"""Trace: what happened to one request. Owns the record; knows nothing of SQL, HTTP or training."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from router.chat import AnswerMessage, ChatRequest, EngineNote, TokenLogprob, Usage
from router.decision import Decision

State = Literal["completed", "failed", "aborted"]


def conversation_key(client: str, conversation: str) -> str:
    """A conversation's name among those of all clients."""
    return f"{client}\0{conversation}"


class Draft(msgspec.Struct, frozen=True, omit_defaults=True):
    """A student's turn, served or rejected."""

    message: AnswerMessage
    finish_reason: str | None = None
    logprobs: list[TokenLogprob] | None = None
    note: EngineNote | None = None
    seconds: float = 0.0


class Served(msgspec.Struct, frozen=True, omit_defaults=True):
    """Token ids as the serving model saw and wrote them."""

    prompt: list[int]
    completion: list[int]


class Trace(msgspec.Struct, frozen=True, omit_defaults=True):
    """Times are Unix seconds; `seconds` are durations by phase (total, draft, teacher, first_byte), and `overhead` is
    what of the total was spent waiting for nobody. `wire` is the API that the client spoke, `wire_id` the answer's id
    that it saw. `client` is the name of its key; `teach` and `may_leave_machine` say what that key allows: to learn
    from this, to show it to a model on another machine. `experiments` are the arms that the conversation was given, by
    experiment. `unread` is what of the client's body the request does not carry; `parent` is the trace of the turn
    before. `redacted` counts the placeholders that stand for secrets and personal data. Where one of these was in what
    token ids, raw text or log-probabilities encode, these are gone, and `served_digest` is what is left of the ids."""

    id: str
    created: float
    conversation: str
    request: ChatRequest
    state: State
    decision: Decision
    experiments: dict[str, str] = {}
    turn: int = 0
    answer: AnswerMessage | None = None
    finish_reason: str | None = None
    draft: Draft | None = None
    served: Served | None = None
    note: EngineNote | None = None
    usage: Usage | None = None
    seconds: dict[str, float] = msgspec.field(default_factory=dict)
    model: str = ""
    wire: str = "chat"
    wire_id: str = ""
    client: str = ""
    error: str = ""
    tried: list[str] = []  # teachers that were asked first and could not answer, and why
    teach: bool = True
    may_leave_machine: bool = True
    unread: dict[str, Any] = {}
    parent: str = ""
    redacted: int = 0
    served_digest: str = ""
