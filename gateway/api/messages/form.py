"""What a client of the Messages API may send, as msgspec structs.

Owns the names and types of the fields that are understood; all others are accepted. Knows nothing of what becomes of
them.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec


class Text(msgspec.Struct, tag="text"):
    text: str


class Base64(msgspec.Struct, tag="base64"):
    media_type: str
    data: str


class Url(msgspec.Struct, tag="url"):
    url: str


class Image(msgspec.Struct, tag="image"):
    source: Base64 | Url


class ToolResult(msgspec.Struct, tag="tool_result"):
    tool_use_id: str
    content: str | list[Text | Image] | None = None
    is_error: bool | None = None


class ToolUse(msgspec.Struct, tag="tool_use"):
    id: str
    name: str
    input: dict[str, Any]


class Thinking(msgspec.Struct, tag="thinking"):
    thinking: str


class RedactedThinking(msgspec.Struct, tag="redacted_thinking"):
    """Thoughts that only their vendor can read."""


class UserTurn(msgspec.Struct, tag_field="role", tag="user"):
    content: str | list[Text | Image | ToolResult]


class AssistantTurn(msgspec.Struct, tag_field="role", tag="assistant"):
    content: str | list[Text | Thinking | RedactedThinking | ToolUse]


class SystemTurn(msgspec.Struct, tag_field="role", tag="system"):
    content: str | list[Text]


Turn = UserTurn | AssistantTurn | SystemTurn


class Tool(msgspec.Struct):
    """A tool of the client's, which has a schema, or one that its vendor defines, which has a type instead."""

    name: str | None = None
    type: str | None = None
    description: str | None = None
    input_schema: dict[str, Any] | None = None
    strict: bool | None = None


class AutoChoice(msgspec.Struct, tag="auto"):
    disable_parallel_tool_use: bool | None = None


class AnyChoice(msgspec.Struct, tag="any"):
    disable_parallel_tool_use: bool | None = None


class ToolChoice(msgspec.Struct, tag="tool"):
    name: str
    disable_parallel_tool_use: bool | None = None


class NoChoice(msgspec.Struct, tag="none"):
    disable_parallel_tool_use: bool | None = None


Choice = AutoChoice | AnyChoice | ToolChoice | NoChoice


class JsonSchema(msgspec.Struct, tag="json_schema"):
    schema: dict[str, Any]


class OutputConfig(msgspec.Struct):
    format: JsonSchema | None = None


class Metadata(msgspec.Struct):
    user_id: str | None = None


class Prompt(msgspec.Struct, kw_only=True):
    """What a model reads, and all that count_tokens wants to know."""

    model: str
    messages: Annotated[list[Turn], msgspec.Meta(min_length=1)]
    system: str | list[Text] | None = None
    tools: list[Tool] | None = None
    tool_choice: Choice | None = None


class MessagesRequest(Prompt, kw_only=True):
    """A request for a message."""

    max_tokens: Annotated[int, msgspec.Meta(ge=1)]
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop_sequences: list[str] | None = None
    stream: bool | None = None
    metadata: Metadata | None = None
    output_config: OutputConfig | None = None
    output_format: JsonSchema | None = None
    mcp_servers: list[Any] | None = None
