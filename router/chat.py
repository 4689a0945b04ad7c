"""The canonical request and answer inside Nightschool: OpenAI chat completions as msgspec structs.

Owns the wire types and their validation; every wire is turned into a ChatRequest at the edge. Knows nothing
of models, transport or policy. Fields that are not named here travel in `ChatRequest.extra`, so that a request
can be handed on to a backend without losing what we do not understand.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

Role = Literal["system", "developer", "user", "assistant", "tool", "function"]
FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]


class InvalidRequest(ValueError):
    """The request is not a valid chat-completions request."""

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


class FunctionCall(msgspec.Struct, frozen=True):
    """A function's name and its arguments as the JSON text the model wrote."""

    name: str
    arguments: str = "{}"


class ToolCall(msgspec.Struct, frozen=True):
    id: str
    function: FunctionCall
    type: str = "function"


class Message(msgspec.Struct, frozen=True, omit_defaults=True):
    """One turn. `content` is text, a list of content parts as the client sent them, or nothing.

    An assistant's thoughts come back under either of two names: `reasoning_content` (ours) or `reasoning`.
    """

    role: Role
    content: str | list[dict[str, Any]] | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None
    name: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None

    @property
    def text(self) -> str:
        """The text of the message, a refusal's words included; parts of other kinds count for nothing."""
        if isinstance(self.content, str):
            return self.content
        if not self.content:
            return ""
        texts = (part.get("text", part.get("refusal")) for part in self.content)
        return "".join(text for text in texts if isinstance(text, str))


class FunctionSpec(msgspec.Struct, frozen=True, omit_defaults=True):
    name: str
    description: str = ""
    parameters: dict[str, Any] = msgspec.field(default_factory=dict)
    strict: bool | None = None


class Tool(msgspec.Struct, frozen=True):
    function: FunctionSpec
    type: Literal["function"] = "function"


class StreamOptions(msgspec.Struct, frozen=True, omit_defaults=True):
    include_usage: bool = False


class ChatRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    """A chat-completions request. Everything optional is `None` when the client did not say."""

    model: str
    messages: list[Message]
    tools: list[Tool] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    stop: str | list[str] | None = None
    seed: int | None = None
    n: int | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    response_format: dict[str, Any] | None = None
    user: str | None = None
    metadata: dict[str, Any] | None = None
    extra: dict[str, Any] = msgspec.field(default_factory=dict)

    @property
    def completion_limit(self) -> int | None:
        """The client's limit on generated tokens, under either of its two names."""
        return self.max_completion_tokens if self.max_completion_tokens is not None else self.max_tokens


class Usage(msgspec.Struct, frozen=True, omit_defaults=True):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: dict[str, Any] | None = None
    completion_tokens_details: dict[str, Any] | None = None

    @property
    def cached_tokens(self) -> int:
        """Prompt tokens that were found in a cache; 0 where the backend does not tell."""
        told = (self.prompt_tokens_details or {}).get("cached_tokens")
        return told if isinstance(told, int) else 0


class TokenLogprob(msgspec.Struct, frozen=True, omit_defaults=True):
    """One generated token as OpenAI's `logprobs.content` lists it; natural logarithm."""

    token: str
    logprob: float
    bytes: list[int] | None = None
    top_logprobs: list[dict[str, Any]] = msgspec.field(default_factory=lambda: [])  # always written, as OpenAI does


class ChoiceLogprobs(msgspec.Struct, frozen=True):
    content: list[TokenLogprob] | None = None


def _nothing() -> None:
    return None


class AnswerMessage(msgspec.Struct, frozen=True, omit_defaults=True):
    """An assistant's answer; unlike Message it always says `content` and `refusal`, as OpenAI does. Thoughts come under
    either of two names, as there."""

    content: str | None = msgspec.field(default_factory=_nothing)
    tool_calls: list[ToolCall] | None = None
    role: str = msgspec.field(default_factory=lambda: "assistant")
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = msgspec.field(default_factory=_nothing)

    @property
    def thoughts(self) -> str:
        """The model's thoughts, under whichever of two names they came."""
        return self.reasoning_content or self.reasoning or ""


class Choice(msgspec.Struct, frozen=True, omit_defaults=True):
    message: AnswerMessage
    finish_reason: str | None
    index: int = msgspec.field(default_factory=int)  # a factory, so that 0 is written too
    logprobs: ChoiceLogprobs | None = msgspec.field(default_factory=_nothing)
    token_ids: list[int] | None = None


class EngineNote(msgspec.Struct, frozen=True, omit_defaults=True):
    """What our own engine adds to an answer: raw model text and the digests of all that produced it."""

    raw: str = ""
    model: str = ""
    adapter: str | None = None
    template: str = ""
    tokenizer: str = ""


class ChatResponse(msgspec.Struct, frozen=True, omit_defaults=True):
    id: str
    created: int
    model: str
    choices: list[Choice]
    object: str = msgspec.field(default_factory=lambda: "chat.completion")  # a factory, so that it is always written
    usage: Usage | None = None
    prompt_token_ids: list[int] | None = None
    nightschool: EngineNote | None = None


def this_turn(messages: list[Message]) -> list[Message]:
    """What was said and called since the user's last word.

    A user message right behind a tool's result is no new word: agents put reminders there, beside the results.
    """
    for at in range(len(messages) - 1, -1, -1):
        if messages[at].role == "user" and (at == 0 or messages[at - 1].role != "tool"):
            return messages[at + 1 :]
    return list(messages)


WHOLE = (None, "stop", "tool_calls")  # finish reasons of an answer that was not cut off
_KNOWN = frozenset(ChatRequest.__struct_fields__) - {"extra"}


def parse_request(body: Any) -> ChatRequest:
    """A decoded JSON body as a ChatRequest.

    Raises InvalidRequest with a sentence for the client and the name of the parameter at fault.
    """
    if not isinstance(body, dict):
        raise InvalidRequest("The request body must be a JSON object.")
    known = {key: value for key, value in body.items() if key in _KNOWN and value is not None}
    known["extra"] = {key: value for key, value in body.items() if key not in _KNOWN}
    _refuse_hosted_tools(known.get("tools"))
    try:
        request = msgspec.convert(known, ChatRequest)
    except msgspec.ValidationError as error:
        raise InvalidRequest(*_explain(error)) from error
    if not request.messages:
        raise InvalidRequest("'messages' must hold at least one message.", "messages")
    _check_ranges(request)
    return request


def request_body(request: ChatRequest) -> dict[str, Any]:
    """The request as the JSON object a backend is sent, unknown fields included."""
    body: dict[str, Any] = msgspec.to_builtins(request)
    extra = body.pop("extra", {})
    return {**extra, **body}


def _refuse_hosted_tools(tools: Any) -> None:
    """Tools that OpenAI runs on its own machines have a type and no function."""
    for index, tool in enumerate(tools if isinstance(tools, list) else []):
        kind = tool.get("type", "function") if isinstance(tool, dict) else "function"
        if kind != "function":
            message = (
                f"The tool {str(kind)[:80]!r} is hosted by its vendor; here only tools of type 'function' can be used."
            )
            raise InvalidRequest(message, f"tools[{index}].type")


def _explain(error: msgspec.ValidationError) -> tuple[str, str | None]:
    text = str(error)
    where = text.rsplit(" - at `$", 1)
    param = where[1].rstrip("`").lstrip(".") if len(where) == 2 else None
    return f"Invalid request: {text}", param or None


def _check_ranges(request: ChatRequest) -> None:
    if request.temperature is not None and not 0 <= request.temperature <= 2:
        raise InvalidRequest("'temperature' must be between 0 and 2.", "temperature")
    if request.top_p is not None and not 0 < request.top_p <= 1:
        raise InvalidRequest("'top_p' must be above 0 and at most 1.", "top_p")
    if request.n is not None and request.n < 1:
        raise InvalidRequest("'n' must be at least 1.", "n")
    for name in ("max_tokens", "max_completion_tokens"):
        limit = getattr(request, name)
        if limit is not None and limit < 1:
            raise InvalidRequest(f"'{name}' must be at least 1.", name)
