"""GET /openapi.json: the gateway's own description, in OpenAPI 3.1.

Owns the page alone: paths by hand, schemas out of the types that requests are read with. Fields that no type names are
accepted by every wire, so no schema forbids more. Knows nothing of how a request is answered.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.metadata import version
from typing import Any

import msgspec
from litestar import Response, get

from gateway.answering.routing import Learning
from gateway.api import admin
from gateway.api.feedback import Feedback
from gateway.api.messages.form import MessagesRequest, Prompt
from gateway.api.responses.compact import CompactRequest
from gateway.api.responses.request import ResponsesRequest
from router.chat import ChatRequest, ChatResponse
from router.experiment import Experiment

Schema = dict[str, Any]

_REQUESTS = (ChatRequest, MessagesRequest, Prompt, ResponsesRequest, CompactRequest, Feedback)
_ADMIN = (admin.Candidate, admin.Proposal, Experiment, Learning, admin.Back, admin.Chosen, admin.Wish, admin.Gone)
_OBJECT: Schema = {"type": "object"}
_EVENT: Schema = {  # one of a stream
    "type": "object",
    "required": ["data"],
    "properties": {"event": {"type": "string"}, "data": {"type": "string"}},
}
_OPENAI_ERROR: Schema = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"]},
                "code": {"type": ["string", "null"]},
            },
        }
    },
}
_ANTHROPIC_ERROR: Schema = {
    "type": "object",
    "required": ["type", "error"],
    "properties": {
        "type": {"const": "error"},
        "error": {
            "type": "object",
            "required": ["type", "message"],
            "properties": {"type": {"type": "string"}, "message": {"type": "string"}},
        },
    },
}
_COMPLETION: Schema = {
    "type": "object",
    "required": ["model", "prompt"],
    "properties": {
        "model": {"type": "string"},
        "prompt": {
            "anyOf": [{"type": "string", "minLength": 1}, {"type": "array", "items": {"type": "string"}, "maxItems": 1}]
        },
        "max_tokens": {"type": ["integer", "null"], "minimum": 1},
        "temperature": {"type": ["number", "null"], "minimum": 0, "maximum": 2},
        "stream": {"type": ["boolean", "null"]},
    },
}

_EMBEDDINGS: Schema = {
    "type": "object",
    "required": ["model", "input"],
    "properties": {
        "model": {"type": "string"},
        "input": {"anyOf": [{"type": "string", "minLength": 1}, {"type": "array", "minItems": 1}]},
    },
}


def _named(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _json(schema: Schema) -> Schema:
    return {"application/json": {"schema": schema}}


def _operation(
    summary: str,
    *,
    body: Schema | None = None,
    answer: Schema | None = None,
    streamed: bool = False,
    status: int = 200,
    parameters: Sequence[Schema] = (),
    error: str = "Error",
) -> Schema:
    told = _json(answer or _OBJECT)
    if streamed:
        told["text/event-stream"] = {"schema": _EVENT}
    found: Schema = {
        "summary": summary,
        "responses": {
            str(status): {"description": "The answer.", "content": told},
            "default": {"description": "An error; docs/http.md lists them.", "content": _json(_named(error))},
        },
    }
    if parameters:
        found["parameters"] = list(parameters)
    if body is not None:
        found["requestBody"] = {"required": True, "content": _json(body)}
    return found


def _in_path(name: str) -> Schema:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}


def _in_query(name: str, schema: Schema) -> Schema:
    return {"name": name, "in": "query", "required": False, "schema": schema}


def _wires() -> Schema:
    counted = {"type": "object", "required": ["input_tokens"], "properties": {"input_tokens": {"type": "integer"}}}
    countable = {**_OBJECT, "properties": {"input": {"anyOf": [{"type": "string"}, {"type": "array"}]}}}
    one = [_in_path("response_id")]
    listing = [
        _in_query("limit", {"type": "integer", "minimum": 1, "maximum": 100}),
        _in_query("order", {"enum": ["asc", "desc"]}),
        _in_query("after", {"type": "string"}),
    ]
    messages, chat = _named("MessagesRequest"), _named("ChatRequest")
    return {
        "/v1/chat/completions": {
            "post": _operation("A chat completion.", body=chat, answer=_named("ChatResponse"), streamed=True)
        },
        "/v1/completions": {"post": _operation("A text completion.", body=_named("Completion"), streamed=True)},
        "/v1/messages": {"post": _operation("A message.", body=messages, streamed=True, error="MessagesError")},
        "/v1/messages/count_tokens": {
            "post": _operation("Count its tokens.", body=_named("Prompt"), answer=counted, error="MessagesError")
        },
        "/v1/embeddings": {"post": _operation("Embeddings of texts.", body=_EMBEDDINGS)},
        "/v1/responses": {"post": _operation("A response.", body=_named("ResponsesRequest"), streamed=True)},
        "/v1/responses/compact": {"post": _operation("Make a conversation shorter.", body=_named("CompactRequest"))},
        "/v1/responses/input_tokens": {
            "post": _operation("Count the tokens of a response's input.", body=countable, answer=counted)
        },
        "/v1/responses/{response_id}": {
            "get": _operation("A response that is kept.", parameters=one),
            "delete": _operation("Forget a response.", parameters=one),
        },
        "/v1/responses/{response_id}/input_items": {
            "get": _operation("A response's own input.", parameters=[*one, *listing])
        },
    }


def _lists() -> Schema:
    figures = _operation("Figures for Prometheus.")
    figures["responses"]["200"]["content"] = {"text/plain": {"schema": {"type": "string"}}}
    return {
        "/v1/models": {"get": _operation("The models on offer.")},
        "/v1/models/{name}": {"get": _operation("One of them.", parameters=[_in_path("name")])},
        "/v1/traces/{trace_id}": {
            "get": _operation("What happened to a request.", parameters=[_in_path("trace_id")]),
            "delete": _operation("Forget a trace, and those that go on from it.", parameters=[_in_path("trace_id")]),
        },
        "/v1/feedback": {"post": _operation("Say what an answer was worth.", body=_named("Feedback"))},
        "/health": {"get": _operation("Whether the gateway runs.")},
        "/metrics": {"get": figures},
        "/openapi.json": {"get": _operation("This page.")},
    }


def _admin() -> Schema:
    def post(summary: str, body: Schema | None = None, parameters: Sequence[Schema] = ()) -> Schema:
        return _operation(summary, body=body, status=201, parameters=parameters)

    name, lease = [_in_path("name")], [_in_path("lease_id")]
    paths = {
        "/admin/adapters": {"post": post("Make an adapter addressable.", _named("Candidate"))},
        "/admin/adapters/{name}": {"delete": _operation("Take it off again.", parameters=name)},
        "/admin/proposals": {"post": post("Put an adapter to work.", _named("Proposal"))},
        "/admin/experiments": {
            "get": _operation("All experiments, canaries too."),
            "post": post("Divide conversations between arms.", _named("Experiment")),
        },
        "/admin/experiments/{name}": {"delete": _operation("Divide no more.", parameters=name)},
        "/admin/router": {"post": post("Put to work what was learnt for the router.", _named("Learning"))},
        "/admin/rollback": {
            "post": post("Back to what served before, or to an adapter that is named.", _named("Back"))
        },
        "/admin/pin": {
            "post": post("Let an adapter serve, and nothing replace it.", _named("Chosen")),
            "delete": _operation("Let others replace it again."),
        },
        "/admin/lease": {"post": post("Borrow memory.", _named("Wish"))},
        "/admin/lease/{lease_id}": {
            "post": post("Renew a lease.", parameters=lease),
            "delete": _operation("Give it back.", parameters=lease),
        },
        "/admin/reload": {"post": post("Read the settings again.")},
        "/admin/forget": {"post": post("Forget traces.", _named("Gone"))},
        "/admin/status": {"get": _operation("What runs, and what it takes.")},
    }
    paths["/admin/rollback"]["post"]["requestBody"]["required"] = False
    for operations in paths.values():
        for operation in operations.values():
            operation["security"] = [{"bearer": []}]
    return paths


def _schemas() -> Schema:
    _, schemas = msgspec.json.schema_components(
        [*_REQUESTS, *_ADMIN, ChatResponse], ref_template="#/components/schemas/{name}"
    )
    del schemas["ChatRequest"]["properties"]["extra"]  # ours: where the fields are kept that no type names
    return {**schemas, "Completion": _COMPLETION, "Error": _OPENAI_ERROR, "MessagesError": _ANTHROPIC_ERROR}


@cache
def page() -> bytes:
    """The description as JSON."""
    bearer = {"type": "http", "scheme": "bearer"}
    return msgspec.json.encode(
        {
            "openapi": "3.1.0",
            "info": {"title": "Nightschool", "version": version("nightschool")},
            "paths": {**_wires(), **_lists(), **_admin()},
            "security": [{}, {"bearer": []}, {"key": []}],
            "components": {
                "schemas": _schemas(),
                "securitySchemes": {"bearer": bearer, "key": {"type": "apiKey", "in": "header", "name": "x-api-key"}},
            },
        }
    )


@get("/openapi.json")
async def openapi() -> Response[bytes]:
    return Response(page(), media_type="application/json")
