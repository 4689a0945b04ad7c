"""Codex CLI's transcripts: `~/.codex/sessions/**/rollout-*.jsonl`.

Reads what versions 0.20 to 0.169 write: a line is {timestamp, type, payload}, or, before September 2025, the bare item.
The items are those of the Responses API. The schemas of its own tools are not in it; those that a client brings along
are not read.

* What the model said, thought and called in a row is one answer, ended by a tool's output or by other words.
* The base instructions, where they are told, are the system prompt; developer messages stay where they were.
* Calls of tools that OpenAI runs itself are left out, and so are thoughts that are encrypted.
* What follows a compaction is a conversation of its own, which begins with the history that took the old one's place.
  Where the user rolled turns back, what follows is one as well, which begins with what was said before.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from distill.formats.conversation import Conversation, Place, Told, place, said
from distill.formats.lines import UNREADABLE, BadLine, guarded, moment, records, shown, written_at
from distill.formats.messages import PICTURE, arguments_text
from distill.trace import Trace
from router.chat import AnswerMessage, FunctionCall, Message, ToolCall, Usage

FORM = "codex"
FILES = "rollout-*.jsonl"
_OUTPUTS = ("function_call_output", "custom_tool_call_output", "local_shell_call_output")
_CALLS = ("function_call", "custom_tool_call", "local_shell_call")
_NOT_WORDS = ("<", "# AGENTS.md")  # how messages begin that Codex writes in the user's name
_CWD = re.compile(r"<cwd>([^<\n]{1,4096})</cwd>")


class _Git(msgspec.Struct):
    commit_hash: str | None = None
    branch: str | None = None
    repository_url: str | None = None


class _Meta(msgspec.Struct):
    id: str | None = None
    cwd: str | None = None
    git: _Git | None = None
    instructions: Any = None
    base_instructions: Any = None


class _Item(msgspec.Struct):
    type: str = ""
    role: str | None = None
    content: Any = None
    summary: Any = None
    name: str | None = None
    namespace: str | None = None
    arguments: Any = None
    input: str | None = None
    action: Any = None
    call_id: str | None = None
    id: str | None = None
    output: Any = None


class _Tokens(msgspec.Struct):
    input_tokens: int = 0
    cached_input_tokens: int = 0
    output_tokens: int = 0


class _TokenInfo(msgspec.Struct):
    last_token_usage: _Tokens | None = None


class _Event(msgspec.Struct):
    type: str = ""


class _TokenCount(msgspec.Struct):
    info: _TokenInfo | None = None


class _RolledBack(msgspec.Struct):
    num_turns: int


class _Context(msgspec.Struct):
    model: str | None = None
    cwd: str | None = None


class _Compacted(msgspec.Struct):
    message: str = ""
    replacement_history: list[_Item] | None = None


class _Line(msgspec.Struct):
    type: str = ""
    timestamp: str | None = None
    payload: msgspec.Raw = msgspec.Raw(b"")


_RAW = msgspec.json.Decoder(msgspec.Raw)
_LINES = msgspec.json.Decoder(_Line)
_ITEMS = msgspec.json.Decoder(_Item)


def read(path: Path) -> Iterator[Trace | BadLine]:
    """The traces of one file, twice read: every request offers all tools that are called anywhere in it, since a list
    that ended with an answer's own call would give the answer away."""
    rollout = _Rollout(path, sorted(_called(path)))
    for record in records(path, _RAW):
        if isinstance(record, BadLine):
            rollout.conversation.incomplete = True
            yield record
            continue
        for found in guarded(path, record[0], rollout.take(bytes(record[1]))):
            rollout.conversation.incomplete |= isinstance(found, BadLine)
            yield found
    yield from guarded(path, 0, rollout.close())


def _called(path: Path) -> set[str]:
    names: set[str] = set()
    for record in records(path, _RAW):
        if not isinstance(record, BadLine):
            try:
                item = _item(_LINES.decode(record[1]), bytes(record[1]))
                names |= {_call(item).function.name} if item is not None and item.type in _CALLS else set()
            except UNREADABLE:
                continue  # told when it is read in earnest
    return names - {""}


def _item(line: _Line, raw: bytes) -> _Item | None:
    """What is no meta, context, event or compaction. Bare items are lines of their own."""
    if line.type == "response_item":
        return _ITEMS.decode(line.payload)
    return _ITEMS.decode(raw) if line.type and not line.payload else None


class _Turn:
    """What the model said, thought and called since somebody else had the word."""

    def __init__(self, at: float) -> None:
        self.at = at
        self.usage: Usage | None = None
        self._texts: list[str] = []
        self._thoughts: list[str] = []
        self._calls: list[ToolCall] = []

    def add(self, item: _Item) -> None:
        if item.type == "message":
            self._texts.append(_text(item.content))
        elif item.type == "reasoning":
            self._thoughts.append(_text(item.content) or _text(item.summary))
        else:
            self._calls.append(_call(item))

    def answer(self) -> AnswerMessage:
        text = "\n\n".join(text for text in self._texts if text)
        thoughts = "\n\n".join(thought for thought in self._thoughts if thought)
        return AnswerMessage(text or None, self._calls or None, reasoning_content=thoughts or None)


class _Rollout:
    """One session, grown line by line."""

    def __init__(self, path: Path, called: list[str]) -> None:
        self._name = shown(path.stem)
        self._called = called
        self._at = written_at(path)  # of the last line that told a time
        self._model = ""
        self._parts = 0
        self._place = Place()
        self._begun = False
        self._turn: _Turn | None = None
        self._words: list[int] = []  # how long the conversation was before each of the user's words
        self._begin()

    def take(self, raw: bytes) -> Iterator[Trace]:
        line = _LINES.decode(raw)
        self._at = moment(line.timestamp, self._at)
        item = _item(line, raw)
        payload = line.payload or raw
        if item is not None:
            yield from self._go_on(item)
        elif line.type == "compacted":
            yield from self.close()
            self._compact(msgspec.json.decode(payload, type=_Compacted))
        elif line.type == "event_msg":
            yield from self._note(payload)
        elif line.type == "turn_context":
            self._move(msgspec.json.decode(payload, type=_Context))
        elif line.type in ("session_meta", ""):
            self._meet(msgspec.json.decode(payload, type=_Meta))

    def close(self) -> Iterator[Trace]:
        """End the answer that is open."""
        turn, self._turn = self._turn, None
        if turn is not None:
            self.conversation.place = self._place
            yield from self.conversation.answer(turn.answer(), Told(turn.at, self._model, usage=turn.usage))

    def _meet(self, meta: _Meta) -> None:
        """Whose session it is. A fork repeats what its parent wrote, the parent's own first line included."""
        if self._begun or not meta.id or len(self.conversation):
            return
        self._begun = True
        self._name, self._parts = meta.id, 0
        git = meta.git or _Git()
        self._place = place(meta.cwd or "", git.repository_url or "", git.commit_hash or "", git.branch or "")
        self._begin()
        told = meta.base_instructions or meta.instructions
        instructions = told.get("text") if isinstance(told, dict) else told
        if isinstance(instructions, str) and instructions:
            self.conversation.say(Message("system", instructions))

    def _begin(self) -> None:
        self.conversation = Conversation(FORM, self._next_name(), called=self._called)
        self._words = []

    def _next_name(self) -> str:
        part = f".{self._parts}" if self._parts else ""
        self._parts += 1
        return self._name + part

    def _go_on(self, item: _Item) -> Iterator[Trace]:
        if _of_model(item):
            self._turn = self._turn or _Turn(self._at)
            self._turn.add(item)
        elif item.type in _OUTPUTS or item.type == "message":
            yield from self.close()
            self._hear(item)

    def _hear(self, item: _Item) -> None:
        if item.type != "message":
            self.conversation.say(Message("tool", _text(item.output), tool_call_id=item.call_id or item.id or ""))
            return
        text = _text(item.content)
        if item.role == "user" and not text.startswith(_NOT_WORDS):
            self._words.append(len(self.conversation))
        if item.role == "user" and not self._place.folder and (cwd := _CWD.search(text)):
            self._place = _moved(self._place, cwd[1])
        self.conversation.say(Message("user" if item.role == "user" else "system", text))

    def _note(self, payload: bytes) -> Iterator[Trace]:
        kind = msgspec.json.decode(payload, type=_Event).type
        if kind == "token_count" and self._turn is not None:
            info = msgspec.json.decode(payload, type=_TokenCount).info
            self._turn.usage = _usage(info.last_token_usage) if info is not None else self._turn.usage
        elif kind == "thread_rolled_back":
            turns = min(msgspec.json.decode(payload, type=_RolledBack).num_turns, len(self._words))
            yield from self.close()
            if turns > 0:
                if self.conversation.rewind(self._words[-turns]):
                    self.conversation.name = self._next_name()
                del self._words[-turns:]

    def _move(self, context: _Context) -> None:
        self._model = context.model or self._model
        if context.cwd:
            self._place = _moved(self._place, context.cwd)

    def _compact(self, compacted: _Compacted) -> None:
        """The history that is told, or else the summary alone, in place of what was said."""
        self._begin()
        self.conversation.incomplete = compacted.replacement_history is None
        turn = _Turn(self._at)
        for item in compacted.replacement_history or [_Item("message", "user", compacted.message)]:
            if _of_model(item):
                turn.add(item)
            elif item.type in _OUTPUTS or item.type == "message":
                self._recall(turn)
                turn = _Turn(self._at)
                self._hear(item)
            else:  # a summary that is encrypted
                self.conversation.incomplete = True
        self._recall(turn)

    def _recall(self, turn: _Turn) -> None:
        answer = turn.answer()
        if answer.content or answer.tool_calls:
            self.conversation.say(said(answer))


def _of_model(item: _Item) -> bool:
    return item.type in _CALLS or item.type == "reasoning" or (item.type == "message" and item.role == "assistant")


def _moved(known: Place, folder: str) -> Place:
    """A folder tells the repository's name where no remote address does."""
    by_folder = known.repository == place(known.folder).repository
    repository = place(folder).repository if by_folder else known.repository
    return msgspec.structs.replace(known, folder=folder, repository=repository)


def _call(item: _Item) -> ToolCall:
    name = f"{item.namespace}__{item.name}" if item.namespace else item.name or ""
    if item.type == "custom_tool_call":
        arguments = arguments_text({"input": item.input or ""})
    elif item.type == "local_shell_call":
        name, arguments = "local_shell", arguments_text(item.action)
    else:
        arguments = arguments_text(item.arguments)
    return ToolCall(item.call_id or item.id or "", FunctionCall(name, arguments))


def _text(content: Any) -> str:
    """Content as text: a text, a list of parts, or what older versions wrap around it."""
    if isinstance(content, dict):
        content = content.get("content")
    if not isinstance(content, list):
        return content if isinstance(content, str) else ""
    return "\n".join(_part(part) for part in content if isinstance(part, dict))


def _part(part: dict[str, Any]) -> str:
    text = part.get("text")
    return PICTURE if part.get("type") == "input_image" else text if isinstance(text, str) else ""


def _usage(told: _Tokens | None) -> Usage | None:
    if told is None:
        return None
    cached = {"cached_tokens": told.cached_input_tokens} if told.cached_input_tokens else None
    return Usage(told.input_tokens, told.output_tokens, told.input_tokens + told.output_tokens, cached)
