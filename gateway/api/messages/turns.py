"""The turns of a Messages request as the messages of a chat completion.

Owns what becomes of each block. Knows nothing of tools that are offered or of how an answer is to be made. Pictures are
handed on as they are: nothing is fetched.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from gateway.api.messages.form import (
    AssistantTurn,
    Image,
    Text,
    Thinking,
    ToolResult,
    ToolUse,
    Turn,
    Url,
    UserTurn,
)

_BILLING = "x-anthropic-billing-header:"  # differs at each request, so that no cache would ever find the rest again
_FAILED = "Error: "  # a tool message of chat completions has no other way to say so
_PICTURE = "[image: see the next message]"  # a tool message holds text alone


def chat_messages(system: str | list[Text] | None, turns: Sequence[Turn]) -> list[dict[str, Any]]:
    """System prompt and turns in their order."""
    messages = _system(system) if system is not None else []
    for turn in turns:
        if isinstance(turn, UserTurn):
            messages += _user(turn)
        elif isinstance(turn, AssistantTurn):
            messages.append(_assistant(turn))
        else:
            messages += _system(turn.content)
    return messages


def _system(content: str | list[Text]) -> list[dict[str, Any]]:
    """No message where nothing is said."""
    if isinstance(content, str):
        text = content.partition("\n")[2] if content.startswith(_BILLING) else content
    else:
        text = _joined([block for block in content if not block.text.startswith(_BILLING)])
    return [{"role": "system", "content": text}] if text else []


def _user(turn: UserTurn) -> list[dict[str, Any]]:
    """Results of tools first, for a chat wants them right behind the calls; then what the user says besides."""
    blocks = [Text(turn.content)] if isinstance(turn.content, str) else turn.content
    results = [block for block in blocks if isinstance(block, ToolResult)]
    messages = [_result(result) for result in results]
    said: list[Text | Image] = [shown for result in results for shown in _pictures(result)]
    said += [block for block in blocks if not isinstance(block, ToolResult)]
    if said or not results:
        messages.append({"role": "user", "content": _content(said)})
    return messages


def _result(result: ToolResult) -> dict[str, Any]:
    content = result.content or ""
    text = content if isinstance(content, str) else _joined([_in_words(block) for block in content])
    return {"role": "tool", "tool_call_id": result.tool_use_id, "content": (_FAILED if result.is_error else "") + text}


def _in_words(block: Text | Image) -> Text:
    return block if isinstance(block, Text) else Text(_PICTURE)


def _pictures(result: ToolResult) -> list[Text | Image]:
    """The pictures in a tool's result, with a line that says where they come from."""
    content = result.content if isinstance(result.content, list) else []
    found: list[Text | Image] = [block for block in content if isinstance(block, Image)]
    return [Text(f"Images in the result of the call {result.tool_use_id}:"), *found] if found else []


def _content(blocks: list[Text | Image]) -> str | list[dict[str, Any]]:
    """Text alone as a string, since not every chat template takes parts."""
    texts = [block for block in blocks if isinstance(block, Text)]
    if len(texts) == len(blocks):
        return _joined(texts)
    return [_part(block) for block in blocks]


def _part(block: Text | Image) -> dict[str, Any]:
    if isinstance(block, Text):
        return {"type": "text", "text": block.text}
    source = block.source
    url = source.url if isinstance(source, Url) else f"data:{source.media_type};base64,{source.data}"
    return {"type": "image_url", "image_url": {"url": url}}


def _joined(blocks: list[Text]) -> str:
    return "\n".join([block.text for block in blocks])


def _assistant(turn: AssistantTurn) -> dict[str, Any]:
    """Joined without a gap: the blocks of an answer were cut out of one text, and shall become that text again."""
    blocks = [Text(turn.content)] if isinstance(turn.content, str) else turn.content
    text = "".join([block.text for block in blocks if isinstance(block, Text)])
    thoughts = "".join([block.thinking for block in blocks if isinstance(block, Thinking)])
    calls = [_call(block) for block in blocks if isinstance(block, ToolUse)]
    message: dict[str, Any] = {"role": "assistant", "content": text or (None if calls else "")}
    if calls:
        message["tool_calls"] = calls
    if thoughts:
        message["reasoning_content"] = thoughts
    return message


def _call(block: ToolUse) -> dict[str, Any]:
    arguments = msgspec.json.encode(block.input).decode()
    return {"id": block.id, "type": "function", "function": {"name": block.name, "arguments": arguments}}
