"""POST /v1/feedback, and DELETE /v1/traces/{id}: what clients say of answers afterwards.

Owns how feedback is checked and which traces it concerns. A client speaks of its own traces only.
"""

from __future__ import annotations

import time
from typing import Any, Literal

import msgspec
from litestar import Request, Response, delete, post
from litestar.datastructures import State

from distill.outcome import Outcome
from distill.trace import Trace
from gateway.access.keys import ADMIN, Client
from gateway.api.replies import decoded
from gateway.errors import NotFound
from gateway.service import Gateway
from router.chat import AnswerMessage, InvalidRequest

_SCORES = {"up": 1.0, "down": -1.0}
_COMMENT = 10_000  # characters


class Feedback(msgspec.Struct, frozen=True):
    """`id` is a trace's or the id that the client saw in an answer; a conversation stands for its last trace. `score`
    goes from -1 to 1, `thumb` is short for either end."""

    id: str = ""
    conversation: str = ""
    score: float | None = None
    thumb: Literal["up", "down"] | None = None
    comment: str = ""
    corrected: str | AnswerMessage | None = None


@post("/v1/feedback", status_code=200)
async def feedback(request: Request[Any, Any, Any], state: State) -> dict[str, Any]:
    gateway: Gateway = state.gateway
    client = gateway.admission.client(request.scope)
    said = _read(decoded(request.scope, await request.body()))
    trace = await _trace(gateway, client, said)
    outcome = Outcome(
        trace=trace.id,
        kind="feedback",
        at=round(time.time(), 3),
        score=said.score if said.thumb is None else _SCORES[said.thumb],
        comment=said.comment,
        corrected=AnswerMessage(said.corrected) if isinstance(said.corrected, str) else said.corrected,
        client=client.name,
        teach=client.rights.teach,
    )
    if client.rights.record:
        gateway.recorder.put(outcome)
        if outcome.score is not None:
            gateway.canaries.rated(trace, outcome.score)
    return {"object": "feedback", "trace": trace.id, "recorded": client.rights.record}


@delete("/v1/traces/{trace_id:str}", status_code=200)
async def forget_trace(request: Request[Any, Any, Any], state: State, trace_id: str) -> Response[dict[str, Any]]:
    """Forget a trace, and those that go on from it, since they hold what was said in it."""
    gateway: Gateway = state.gateway
    client = gateway.admission.client(request.scope)
    trace = await gateway.recorder.get(trace_id)
    if trace is None or not client.may_see(trace.client):
        raise NotFound(f"There is no trace '{trace_id}'.")
    gone = await gateway.forget([trace.id])
    return Response({"id": trace.id, "object": "trace", "deleted": True, "traces": gone})


def _read(body: Any) -> Feedback:
    try:
        said = msgspec.convert(body, Feedback)
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"Invalid feedback: {error}") from error
    if bool(said.id) == bool(said.conversation):
        raise InvalidRequest("Feedback needs 'id' (of a trace or an answer) or 'conversation', and not both.", "id")
    if said.score is not None and not -1 <= said.score <= 1:
        raise InvalidRequest("'score' must be between -1 and 1.", "score")
    if said.score is not None and said.thumb is not None:
        raise InvalidRequest("Say 'score' or 'thumb', not both.", "score")
    if len(said.comment) > _COMMENT:
        raise InvalidRequest(f"'comment' may have {_COMMENT} characters.", "comment")
    if said.score is None and said.thumb is None and not said.comment and said.corrected is None:
        raise InvalidRequest("Feedback needs a 'score', a 'thumb', a 'comment' or a 'corrected' answer.")
    return said


async def _trace(gateway: Gateway, client: Client, said: Feedback) -> Trace:
    """Raises NotFound for what is not there, or is somebody else's."""
    if said.id:
        found = await gateway.recorder.get(said.id)
    else:
        found = await gateway.recorder.last_of(said.conversation, None if client.name == ADMIN else client.name)
    if found is None or not client.may_see(found.client):
        raise NotFound(f"There is no trace of '{(said.id or said.conversation)[:200]}'.")
    return found
