"""Input items of a Responses request as chat messages.

What the assistant said, thought and called in a row becomes one message, as it was one turn. Owns the meaning of every
kind of item. Knows nothing of where items come from.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gateway.api.responses.carried import carried
from gateway.api.responses.tools import custom_arguments, flat_name
from router.chat import InvalidRequest

SKIPPED = frozenset(  # what hosted tools left in a history; the assistant's own words about it stay
    {
        *("web_search_call", "file_search_call", "code_interpreter_call", "image_generation_call"),
        *("computer_call", "computer_call_output", "local_shell_call", "local_shell_call_output"),
        *("shell_call", "shell_call_output", "apply_patch_call", "apply_patch_call_output"),
        *("mcp_list_tools", "mcp_approval_request", "mcp_approval_response", "mcp_call"),
        *("tool_search_call", "tool_search_output"),
    }
)
_COMPACTED = "What was said and done before, as it was summarized when the conversation was compacted:\n\n"


class History:
    """Messages while they are put together, and the types of the items that were skipped."""

    def __init__(self, instructions: str | None = None) -> None:
        self.skipped: list[str] = []
        self._messages: list[dict[str, Any]] = []
        self._turn = _Turn()
        self._called: set[str] = set()
        if instructions:
            self._say("system", instructions)

    def add(self, item: dict[str, Any], where: str) -> bool:
        """Go on with one item; `where` it stands in the request. Whether it says something by itself.

        Raises InvalidRequest.
        """
        kind = str(item.get("type") or ("message" if "role" in item else None))
        if kind in SKIPPED:
            self.skipped.append(kind)
            return False
        if kind not in _READERS:
            raise InvalidRequest(f"Items of type {kind[:80]!r} cannot be used here.", f"{where}.type")
        _READERS[kind](self, item, where)
        return kind != "reasoning"

    def messages(self) -> list[dict[str, Any]]:
        """All messages; nothing can be added afterwards. Thoughts that no answer followed are left out."""
        self._end_turn()
        return self._messages

    def _message(self, item: dict[str, Any], where: str) -> None:
        role, content = item.get("role"), item.get("content")
        if role == "assistant":
            self._turn.texts.append(_text_only(content, "", f"{where}.content"))
        elif role in ("user", "system", "developer"):
            # "developer" is known to OpenAI's own models; other servers' templates refuse it
            self._say("user" if role == "user" else "system", _content(content, f"{where}.content"))
        else:
            raise InvalidRequest(f"There is no role {str(role)[:80]!r}.", f"{where}.role")

    def _say(self, role: str, content: str | list[dict[str, Any]]) -> None:
        self._end_turn()
        first = self._messages[0] if len(self._messages) == 1 else {}
        if role == first.get("role") == "system" and isinstance(content, str) and isinstance(first["content"], str):
            first["content"] += f"\n\n{content}"  # templates know one system message, at the beginning
        else:
            self._messages.append({"role": role, "content": content})

    def _reasoning(self, item: dict[str, Any], where: str) -> None:
        thoughts = [_texts(item, key, f"{where}.{key}") for key in ("content", "summary")]
        self._turn.thoughts.append(thoughts[0] or carried(item.get("encrypted_content")) or thoughts[1])

    def _function_call(self, item: dict[str, Any], where: str) -> None:
        name = flat_name(_text(item, "name", where), str(item.get("namespace") or ""))
        arguments = item.get("arguments")
        if not isinstance(arguments, str):
            raise InvalidRequest(f"'{where}.arguments' must be a text.", f"{where}.arguments")
        self._call(_text(item, "call_id", where), name, arguments)

    def _custom_call(self, item: dict[str, Any], where: str) -> None:
        name = flat_name(_text(item, "name", where), str(item.get("namespace") or ""))
        if not isinstance(item.get("input"), str):
            raise InvalidRequest(f"'{where}.input' must be a text.", f"{where}.input")
        self._call(_text(item, "call_id", where), name, custom_arguments(item["input"]))

    def _call(self, call_id: str, name: str, arguments: str) -> None:
        self._called.add(call_id)
        self._turn.calls.append({"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}})

    def _output(self, item: dict[str, Any], where: str) -> None:
        call_id = _text(item, "call_id", where)
        if call_id not in self._called:
            raise InvalidRequest(f"There is no tool call with call_id '{call_id[:80]}' before.", f"{where}.call_id")
        self._end_turn()
        content = _content(item.get("output"), f"{where}.output")
        self._messages.append({"role": "tool", "tool_call_id": call_id, "content": content})

    def _compaction(self, item: dict[str, Any], where: str) -> None:
        summary = carried(item.get("encrypted_content"))
        if summary is None:
            message = "This compacted conversation was not made here; only the server that made it can read it."
            raise InvalidRequest(message, f"{where}.encrypted_content")
        self._say("user", _COMPACTED + summary)

    def _end_turn(self) -> None:
        message = self._turn.message()
        if message is not None:
            self._messages.append(message)
        self._turn = _Turn()


class _Turn:
    """What the assistant said, thought and called since somebody else had the word."""

    def __init__(self) -> None:
        self.thoughts: list[str] = []
        self.texts: list[str] = []
        self.calls: list[dict[str, Any]] = []

    def message(self) -> dict[str, Any] | None:
        if not self.texts and not self.calls:
            return None
        text = "\n\n".join(text for text in self.texts if text)
        message: dict[str, Any] = {"role": "assistant", "content": text if text or not self.calls else None}
        if self.calls:
            message["tool_calls"] = self.calls
        if any(self.thoughts):
            message["reasoning_content"] = "\n\n".join(thought for thought in self.thoughts if thought)
        return message


_READERS: dict[str, Callable[[History, dict[str, Any], str], None]] = {
    "message": History._message,
    "reasoning": History._reasoning,
    "function_call": History._function_call,
    "custom_tool_call": History._custom_call,
    "function_call_output": History._output,
    "custom_tool_call_output": History._output,
    "compaction": History._compaction,
}


def _content(content: Any, where: str) -> str | list[dict[str, Any]]:
    """Text, or the parts in chat form where there is more than text."""
    if isinstance(content, str):
        return content
    parts = [_part(part, f"{where}[{index}]") for index, part in enumerate(_list(content, where))]
    if all(part["type"] == "text" for part in parts):
        return "\n".join(part["text"] for part in parts)
    return parts


def _text_only(content: Any, glue: str, where: str) -> str:
    if isinstance(content, str):
        return content
    parts = [_part(part, f"{where}[{index}]") for index, part in enumerate(_list(content, where))]
    if any(part["type"] != "text" for part in parts):
        raise InvalidRequest(f"'{where}' can hold text only.", where)
    return glue.join(part["text"] for part in parts)


def _texts(item: dict[str, Any], key: str, where: str) -> str:
    """The texts of a reasoning item's `content` or `summary`."""
    return "" if item.get(key) is None else _text_only(item[key], "\n\n", where)


def _part(part: Any, where: str) -> dict[str, Any]:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind in ("input_text", "output_text", "text", "summary_text", "reasoning_text"):
        return {"type": "text", "text": _text(part, "text", where, empty=True)}
    if kind == "refusal":
        return {"type": "text", "text": _text(part, "refusal", where, empty=True)}
    if kind == "input_image":
        if not isinstance(part.get("image_url"), str):
            message = "An image must come in 'image_url', as a data URL for instance: there are no stored files here."
            raise InvalidRequest(message, f"{where}.image_url")
        detail = {"detail": part["detail"]} if part.get("detail") else {}
        return {"type": "image_url", "image_url": {"url": part["image_url"], **detail}}
    raise InvalidRequest(f"Parts of type {str(kind)[:80]!r} cannot be used here.", f"{where}.type")


def _list(content: Any, where: str) -> list[Any]:
    if not isinstance(content, list):
        raise InvalidRequest(f"'{where}' must be a text or a list of parts.", where)
    return content


def _text(item: dict[str, Any], key: str, where: str, *, empty: bool = False) -> str:
    value = item.get(key)
    if not isinstance(value, str) or not (value or empty):
        raise InvalidRequest(f"'{where}.{key}' must be a text.", f"{where}.{key}")
    return value
