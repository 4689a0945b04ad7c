"""A Responses request as a chat completion.

Owns which field becomes what, which have no effect and which are refused. Knows nothing of answers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Literal, TypeVar

import msgspec

from gateway.api.responses.items import History
from gateway.api.responses.listed import listed
from gateway.api.responses.stored import ResponseStore, Stored
from gateway.api.responses.tools import Tools, read_tools
from gateway.api.wire import Asked
from router.chat import InvalidRequest, parse_request

T = TypeVar("T")

_AS_IN_CHAT = ("temperature", "top_p", "presence_penalty", "frequency_penalty", "seed", "stop", "user")
_CARRIED = frozenset(  # fields that are in the chat completion in some form
    {
        "model",
        "input",
        "metadata",
        "instructions",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "temperature",
        "top_p",
        "max_output_tokens",
        "stream",
    }
)
_WITHOUT_EFFECT = (  # fields that OpenAI knows; what else nobody knows is ignored too
    *("reasoning", "truncation", "max_tool_calls", "service_tier", "safety_identifier", "moderation", "image"),
    *("prompt_cache_options", "prompt_cache_retention", "context_management", "access_programs", "stream_options"),
)
_DEFAULTS = {"truncation": "disabled", "service_tier": "auto"}  # asking for these asks for nothing
_THOUGHTS = "reasoning.encrypted_content"
_HEADER_SAFE = re.compile(r"[\w.-]{1,64}", re.ASCII)
_MOST_NAMED = 32


class TextFormat(msgspec.Struct, frozen=True, omit_defaults=True):
    type: Literal["text", "json_object", "json_schema"] = msgspec.field(default_factory=lambda: "text")
    name: str | None = None
    description: str | None = None
    schema: dict[str, Any] | None = None
    strict: bool | None = None


class TextConfig(msgspec.Struct, frozen=True):
    format: TextFormat | None = None
    verbosity: Literal["low", "medium", "high"] | None = None


class ResponsesRequest(msgspec.Struct, frozen=True):
    """The fields that are read. `unknown` are the names of the others."""

    model: str
    input: str | list[dict[str, Any]]
    instructions: str | None = None
    previous_response_id: str | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    temperature: float | None = None
    top_p: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    max_output_tokens: int | None = None
    max_tool_calls: int | None = None
    text: TextConfig | None = None
    reasoning: dict[str, Any] | None = None
    include: list[str] | None = None
    metadata: dict[str, str] | None = None
    store: bool | None = None
    stream: bool | None = None
    background: bool | None = None
    top_logprobs: int | None = None
    truncation: Literal["auto", "disabled"] | None = None
    prompt_cache_key: str | None = None
    safety_identifier: str | None = None
    conversation: Any = None
    prompt: Any = None

    @property
    def carries_thoughts(self) -> bool:
        return _THOUGHTS in (self.include or ())


class Read(msgspec.Struct, frozen=True):
    """A request that was understood: as a chat completion, and what the answer needs to know of it.

    `items` are the request's own input items as the API lists them, without those of earlier responses.
    """

    asked: Asked
    request: ResponsesRequest
    tools: Tools
    items: list[dict[str, Any]]


def read_request(body: Any, store: ResponseStore, owner: str) -> Read:
    """A decoded JSON body as a chat completion. Raises InvalidRequest or PreviousResponseNotFound."""
    request = convert(body, ResponsesRequest)
    _refuse(request)
    tools = read_tools(request.tools or (), request.tool_choice)
    chain = store.chain(owner, request.previous_response_id) if request.previous_response_id else []
    items = own_items(request.input, store, owner)
    history = read_history(request.instructions, chain, items)
    messages = history.messages()
    chat = _chat(request, messages, tools)
    chat.update({name: body[name] for name in _AS_IN_CHAT if body.get(name) is not None})
    asked = Asked(
        body=chat,
        # kept with the trace, and not sent on: a backend may refuse what it is not to store
        request=msgspec.structs.replace(parse_request(chat), metadata=request.metadata),
        notes=notes(_ignored(body, request), tools.skipped, history.skipped),
        conversation=chain[-1].conversation if chain else (request.prompt_cache_key or "")[:200],
        size=len(msgspec.json.encode(messages)) if chain or items is not request.input else 0,
        unread={name: value for name, value in body.items() if name not in _CARRIED},
    )
    return Read(asked, request, tools, [listed(item) for item in items])


def own_items(given: str | list[dict[str, Any]], store: ResponseStore, owner: str) -> list[dict[str, Any]]:
    """A request's `input` as items, references resolved. Raises InvalidRequest."""
    if isinstance(given, str):
        given = [{"type": "message", "role": "user", "content": given}] if given else []
    if not given:
        raise InvalidRequest("'input' must be a text or hold at least one item.", "input")
    if not any(_is_reference(item) for item in given):
        return given
    return [_resolved(item, store, owner, f"input[{index}]") for index, item in enumerate(given)]


def read_history(instructions: str | None, chain: list[Stored], items: list[dict[str, Any]]) -> History:
    """Earlier responses and a request's own items as messages. Raises InvalidRequest, also if its own say nothing."""
    history = History(instructions)
    for one in chain:
        for item in (*one.input, *one.output):
            history.add(item, "previous_response_id")
    said = [history.add(item, f"input[{index}]") for index, item in enumerate(items)]
    if not any(said):
        raise InvalidRequest("'input' must hold something besides thoughts and what is skipped here.", "input")
    return history


def convert(body: Any, kind: type[T]) -> T:
    """A body as a struct. Raises InvalidRequest with a sentence and the name of the field at fault."""
    if not isinstance(body, dict):
        raise InvalidRequest("The request body must be a JSON object.")
    try:
        return msgspec.convert(body, kind)
    except msgspec.ValidationError as error:
        text = str(error)
        found = re.search(r" - at `\$\.(.+)`$", text) or re.search(r"missing required field `(\w+)`$", text)
        raise InvalidRequest(f"Invalid request: {text}", found[1] if found else None) from error


def _resolved(item: dict[str, Any], store: ResponseStore, owner: str, where: str) -> dict[str, Any]:
    """The item itself, or the stored one that it refers to."""
    if not _is_reference(item):
        return item
    found = store.item(owner, str(item.get("id")))
    if found is None:
        message = (
            f"There is no item '{str(item.get('id'))[:80]}' in a response that is kept here: send the item itself."
        )
        raise InvalidRequest(message, f"{where}.id")
    return found


def _is_reference(item: dict[str, Any]) -> bool:
    """Whether an item only names another; its type may be left out."""
    return item.get("type") == "item_reference" or ("id" in item and not item.get("type") and "role" not in item)


def _refuse(request: ResponsesRequest) -> None:
    """What cannot be ignored without giving the client something else than it asked for."""
    if request.background:
        raise InvalidRequest("Responses cannot be made in the background here.", "background")
    if request.conversation is not None:
        message = "There are no conversation objects here: use 'previous_response_id', or send all items each time."
        raise InvalidRequest(message, "conversation")
    if request.prompt is not None:
        raise InvalidRequest("There are no stored prompts here: send 'instructions' and 'input'.", "prompt")
    if request.top_logprobs or "message.output_text.logprobs" in (request.include or ()):
        message = "Log-probabilities are given by /v1/chat/completions only."
        raise InvalidRequest(message, "top_logprobs" if request.top_logprobs else "include")
    if request.max_output_tokens is not None and request.max_output_tokens < 1:
        raise InvalidRequest("'max_output_tokens' must be at least 1.", "max_output_tokens")


def _chat(request: ResponsesRequest, messages: list[dict[str, Any]], tools: Tools) -> dict[str, Any]:
    chat: dict[str, Any] = {"model": request.model, "messages": messages}
    if tools.offered:
        chat["tools"] = tools.offered
        if tools.choice is not None:
            chat["tool_choice"] = tools.choice
        if request.parallel_tool_calls is not None:
            chat["parallel_tool_calls"] = request.parallel_tool_calls
    if request.max_output_tokens is not None:
        chat["max_completion_tokens"] = request.max_output_tokens
    form = request.text.format if request.text else None
    if form is not None and form.type != "text":
        chat["response_format"] = _response_format(form)
    if request.stream:
        chat |= {"stream": True, "stream_options": {"include_usage": True}}
    return chat


def _response_format(form: TextFormat) -> dict[str, Any]:
    if form.type == "json_object":
        return {"type": "json_object"}
    if form.name is None or form.schema is None:
        missing = "name" if form.name is None else "schema"
        raise InvalidRequest(f"'text.format' needs a '{missing}'.", f"text.format.{missing}")
    schema = msgspec.to_builtins(form)
    del schema["type"]
    return {"type": "json_schema", "json_schema": schema}


def _ignored(body: dict[str, Any], request: ResponsesRequest) -> list[str]:
    """The names of the parameters that were given and have no effect."""
    known = {*ResponsesRequest.__struct_fields__, *_AS_IN_CHAT} - {*_WITHOUT_EFFECT}
    named = [
        name for name, value in body.items() if name not in known and value is not None and _DEFAULTS.get(name) != value
    ]
    if request.text and request.text.verbosity:
        named.append("text.verbosity")
    return named + [f"include.{name}" for name in request.include or () if name != _THOUGHTS]


def notes(ignored: Iterable[str], tools: Iterable[str], items: Iterable[str]) -> dict[str, str]:
    """The response headers that name what has no effect: parameters, types of tools, types of items."""
    told = {"ignored-params": ignored, "skipped-tools": tools, "skipped-items": items}
    lists = {
        key: [name for name in dict.fromkeys(names) if _HEADER_SAFE.fullmatch(name)] for key, names in told.items()
    }
    return {f"x-nightschool-{key}": ", ".join(names[:_MOST_NAMED]) for key, names in lists.items() if names}
