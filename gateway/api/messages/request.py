"""A Messages request as a chat completion.

Owns what becomes of each field of the request, and what is told of those that have no effect. Knows nothing of answers
or of HTTP.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec

from gateway.api.messages.form import MessagesRequest, Prompt
from gateway.api.messages.tools import choice_fields, functions
from gateway.api.messages.turns import chat_messages
from gateway.api.wire import Asked
from gateway.errors import NoThreads
from router.chat import InvalidRequest, parse_request

_SKIPPED = "x-nightschool-skipped-tools"
_IGNORED = "x-nightschool-ignored-params"
_CARRIED = frozenset(  # fields that are in the chat completion in some form
    {
        "model",
        "messages",
        "system",
        "tools",
        "tool_choice",
        "max_tokens",
        "temperature",
        "top_p",
        "top_k",
        "stop_sequences",
        "stream",
    }
)
_MOST_NAMES = 50  # in one header
_SESSION = re.compile(r"_session_([0-9A-Za-z-]+)$")
_BLOCK = re.compile(r"\.content(\[\d+\]\.content)?\[\d+\]\.type$")

_P = TypeVar("_P", bound=Prompt)


def read_request(body: Any) -> Asked:
    """The chat completion that a decoded body asks for. Raises InvalidRequest or NoThreads."""
    request = _decode(body, MessagesRequest)
    if request.mcp_servers:
        raise InvalidRequest(
            "mcp_servers: servers that Anthropic would call are not called here; list their tools in 'tools'.",
            "mcp_servers",
        )
    chat, notes = _prompt(request)
    chat |= _sampling(request)
    if ignored := _without_effect(body):
        notes[_IGNORED] = _listed(ignored)
    user = request.metadata.user_id if request.metadata is not None else None
    unread = {name: value for name, value in body.items() if name not in _CARRIED}
    return Asked(chat, parse_request(chat), notes, _conversation(user or ""), unread=unread)


def read_prompt(body: Any) -> Asked:
    """The prompt alone, for counting. Raises InvalidRequest or NoThreads."""
    chat, notes = _prompt(_decode(body, Prompt))
    return Asked(chat, parse_request(chat), notes)


def _decode(body: Any, form: type[_P]) -> _P:
    if not isinstance(body, dict):
        raise InvalidRequest("The request body must be a JSON object.")
    if body.get("thread"):
        raise NoThreads(param="thread")  # a client that were not told would send only what is new from now on
    try:
        return msgspec.convert(body, form)
    except msgspec.ValidationError as error:
        raise _explained(str(error)) from error


def _explained(text: str) -> InvalidRequest:
    """What msgspec says, with the field first."""
    problem, _, where = text.partition(" - at `$")
    where = where.rstrip("`").lstrip(".")
    if _BLOCK.search(where) and problem.startswith("Invalid value "):
        problem = f"a block of type {problem.removeprefix('Invalid value ')} cannot be used here"
    return InvalidRequest(f"{where or 'the request'}: {problem}", where or None)


def _prompt(request: Prompt) -> tuple[dict[str, Any], dict[str, str]]:
    kept, skipped = functions(request.tools or [])
    chat: dict[str, Any] = {
        "model": request.model,
        "messages": chat_messages(request.system, request.messages),
        **({"tools": kept} if kept else {}),
        **choice_fields(request.tool_choice, kept, skipped),
    }
    return chat, {_SKIPPED: _listed(skipped)} if skipped else {}


def _sampling(request: MessagesRequest) -> dict[str, Any]:
    """How the answer is to be made, in a chat completion's names; what the client did not say is left out."""
    fields: dict[str, Any] = {
        "max_tokens": request.max_tokens,
        "temperature": request.temperature,
        "top_p": request.top_p,
        "top_k": request.top_k,
        "stop": request.stop_sequences or None,
        "user": request.metadata.user_id if request.metadata is not None else None,
        "response_format": _response_format(request),
    }
    if request.stream:
        fields |= {"stream": True, "stream_options": {"include_usage": True}}
    return {name: value for name, value in fields.items() if value is not None}


def _response_format(request: MessagesRequest) -> dict[str, Any] | None:
    config = request.output_config.format if request.output_config is not None else None
    wanted = config or request.output_format
    if wanted is None:
        return None
    schema = {"name": "answer", "schema": wanted.schema, "strict": True}
    return {"type": "json_schema", "json_schema": schema}


def _without_effect(body: dict[str, Any]) -> list[str]:
    """The fields that are accepted and change nothing."""
    known = MessagesRequest.__struct_fields__
    config = body.get("output_config") or {}
    beside = [f"output_config.{name}" for name, value in config.items() if value is not None and name != "format"]
    return [name for name, value in body.items() if value is not None and name not in known] + beside


def _listed(names: Iterable[str]) -> str:
    """Names as one header; what a header cannot hold is percent-encoded."""
    return ",".join([quote(name[:100], safe="") for name in names][:_MOST_NAMES])


def _conversation(user: str) -> str:
    """The session that Claude Code writes into its user id, as JSON or at the end; empty if there is none."""
    if user.startswith("{"):
        try:
            session = msgspec.json.decode(user).get("session_id")
        except (msgspec.DecodeError, UnicodeEncodeError):
            return ""
        return session[:200] if isinstance(session, str) else ""
    found = _SESSION.search(user)
    return found[1][:200] if found else ""
