"""Claude Code's transcripts: `~/.claude/projects/*/*.jsonl`, sub-agents in `agent-*.jsonl` wherever they lie below.

Reads what versions 1.0 to 2.1 write: an entry a line, linked by `parentUuid`; an answer has a line for each of its
blocks, which share `message.id`. The system prompt and the tools' schemas are not in it.

* Sidechains are conversations of their own, and so is what follows a compaction, which begins with the summary.
* A user's words whose parent lies further back take back what was said since. Where answers were taken back, what
  follows is a conversation of its own, which begins with what was said before.
* Titles, progress, snapshots, answers that Claude Code made up itself, echoes of its own commands: left out. So are
  messages that it slipped in (`isMeta`: expanded commands, skills), and what follows them is marked incomplete.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import msgspec

from distill.formats.conversation import Conversation, Told, place
from distill.formats.lines import UNREADABLE, BadLine, guarded, moment, records, shown, written_at
from distill.formats.messages import FAILED, PICTURE
from distill.trace import Trace
from router.chat import AnswerMessage, FunctionCall, Message, ToolCall, Usage

FORM = "claude-code"
FILES = "*.jsonl"
_FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "refusal": "content_filter",
}
_CAVEAT = ("Caveat: ", "<local-command-caveat>")
_ECHOES = ("<command-name>", "<command-message>", "<local-command-", "[Request interrupted by user", *_CAVEAT)


class _Block(msgspec.Struct):
    type: str = ""
    text: str | None = None
    thinking: str | None = None
    id: str | None = None
    name: str | None = None
    input: msgspec.Raw = msgspec.Raw(b"{}")
    tool_use_id: str | None = None
    content: Any = None
    is_error: bool | None = None


class _Usage(msgspec.Struct):
    input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    output_tokens: int | None = None


class _Message(msgspec.Struct):
    content: str | list[_Block]
    id: str | None = None
    model: str | None = None
    stop_reason: str | None = None
    usage: _Usage | None = None

    @property
    def blocks(self) -> list[_Block]:
        return [_Block("text", self.content)] if isinstance(self.content, str) else self.content


class _Entry(msgspec.Struct, rename="camel"):
    type: str
    subtype: str | None = None
    uuid: str | None = None
    parent_uuid: str | msgspec.UnsetType | None = msgspec.UNSET
    session_id: str | None = None
    agent_id: str | None = None
    is_sidechain: bool | None = None
    is_meta: bool | None = None
    is_compact_summary: bool | None = None
    is_api_error_message: bool | None = None
    timestamp: str | None = None
    cwd: str | None = None
    git_branch: str | None = None
    message: msgspec.Raw = msgspec.Raw(b"")


_ENTRIES = msgspec.json.Decoder(_Entry)
_MESSAGES = msgspec.json.Decoder(_Message)


def read(path: Path) -> Iterator[Trace | BadLine]:
    """The traces of one file, twice read: every request offers all tools that are called anywhere in it, since a list
    that ended with an answer's own call would give the answer away."""
    transcript = _Transcript(path, sorted(_called(path)))
    for record in records(path, _ENTRIES):
        if isinstance(record, BadLine):
            transcript.damage()
            yield record
            continue
        for found in guarded(path, record[0], transcript.take(record[1])):
            if isinstance(found, BadLine):
                transcript.damage()
            yield found
    yield from guarded(path, 0, transcript.end())


def _called(path: Path) -> set[str]:
    names: set[str] = set()
    for record in records(path, _ENTRIES):
        if not isinstance(record, BadLine) and record[1].type == "assistant":
            try:
                names |= {block.name or "" for block in _MESSAGES.decode(record[1].message).blocks}
            except UNREADABLE:
                continue  # told when it is read in earnest
    return names - {""}


class _Transcript:
    """The threads of one file: the conversation itself, and those of sub-agents."""

    def __init__(self, path: Path, called: list[str]) -> None:
        self._name = shown(path.stem)
        self._called = called
        self._at = written_at(path)  # of the last entry that told a time
        self._threads: dict[str, _Thread] = {}
        self._sidechains: dict[str, str] = {}  # the thread of each entry that names no agent
        self._damaged = False

    def take(self, entry: _Entry) -> Iterator[Trace]:
        self._at = moment(entry.timestamp, self._at)
        yield from self._thread(entry).take(entry, self._at)

    def damage(self) -> None:
        """Something of this file is lost, and nobody knows from which conversation."""
        self._damaged = True
        for thread in self._threads.values():
            thread.conversation.incomplete = True

    def end(self) -> Iterator[Trace]:
        for thread in self._threads.values():
            yield from thread.close()

    def _thread(self, entry: _Entry) -> _Thread:
        name = entry.session_id or self._name
        if entry.is_sidechain:
            name = f"{name}/{entry.agent_id or self._sidechain(entry)}"
        if name not in self._threads:
            self._threads[name] = thread = _Thread(name, self._called)
            thread.conversation.incomplete = self._damaged and entry.parent_uuid is not None
        return self._threads[name]

    def _sidechain(self, entry: _Entry) -> str:
        """Entries of old versions name no agent; they hang together by their parents."""
        parent = entry.parent_uuid if isinstance(entry.parent_uuid, str) else ""
        found = self._sidechains.get(parent, entry.uuid or "")
        self._sidechains[entry.uuid or ""] = found
        return found


class _Turn:
    """An answer while its blocks come in, one a line, with what its tools said in between."""

    def __init__(self, message_id: str) -> None:
        self.id = message_id
        self.followed: list[Message] = []
        self._texts: list[str] = []
        self._thoughts: list[str] = []
        self._calls: list[ToolCall] = []
        self._last: _Message | None = None
        self._at = 0.0

    def add(self, message: _Message, at: float) -> None:
        calls = [_call(block) for block in message.blocks if block.type == "tool_use"]
        self._calls += calls
        self._texts += [block.text or "" for block in message.blocks if block.type == "text"]
        self._thoughts += [block.thinking or "" for block in message.blocks if block.type == "thinking"]
        self._last = message
        self._at = self._at or at

    def answer(self) -> AnswerMessage:
        """Joined without a gap: the blocks were cut out of one text."""
        text, thoughts = "".join(self._texts), "".join(self._thoughts)
        return AnswerMessage(text or None, self._calls or None, reasoning_content=thoughts or None)

    def told(self) -> Told:
        last = self._last or _Message([])
        finish = _FINISH.get(last.stop_reason or "", last.stop_reason)
        return Told(self._at, last.model or "", finish, _usage(last.usage), self.id)


class _Thread:
    """One conversation, grown entry by entry. A step is a user's words, or an answer with what followed it; `_steps`
    are its steps, each with its number and the conversation's length at its end, and `_step_of` the entries' own."""

    def __init__(self, name: str, called: list[str]) -> None:
        self._name = name
        self._called = called
        self._parts = 0
        self._turn: _Turn | None = None
        self._begin()

    def take(self, entry: _Entry, at: float) -> Iterator[Trace]:
        if entry.subtype == "compact_boundary" or (entry.is_compact_summary and len(self.conversation)):
            yield from self.close()
            self._begin()
        if entry.type == "assistant" and not self._made_up(entry):
            yield from self._answered(entry, _MESSAGES.decode(entry.message), at)
        elif entry.type == "user":
            yield from self._asked(entry, _MESSAGES.decode(entry.message))
        else:
            self._keep(entry, self._parents(entry))

    def close(self) -> Iterator[Trace]:
        """End the answer that is open: nothing more comes to it."""
        turn, self._turn = self._turn, None
        if turn is not None:
            traces = self.conversation.answer(turn.answer(), turn.told())
            for message in turn.followed:
                self.conversation.say(message)
            self._end_step()
            yield from traces

    def _begin(self) -> None:
        self.conversation = Conversation(FORM, self._next_name(), called=self._called)
        self._steps: list[tuple[int, int]] = [(0, 0)]
        self._numbers = count(1)
        self._step = next(self._numbers)  # the number of the step that is open, or comes next
        self._step_of: dict[str, tuple[int, int]] = {}  # where in `_steps`, and its number, since steps are taken back

    def _next_name(self) -> str:
        part = f".{self._parts}" if self._parts else ""
        self._parts += 1
        return self._name + part

    def _end_step(self) -> None:
        self._steps.append((self._step, len(self.conversation)))
        self._step = next(self._numbers)

    def _answered(self, entry: _Entry, message: _Message, at: float) -> Iterator[Trace]:
        if self._turn is None or not message.id or self._turn.id != message.id:
            yield from self.close()
            self._rewind(entry)
            self._turn = _Turn(message.id or "")
        self._turn.add(message, at)
        self.conversation.place = place(folder=entry.cwd or "", branch=entry.git_branch or "")
        self._keep(entry, (len(self._steps), self._step))

    def _asked(self, entry: _Entry, message: _Message) -> Iterator[Trace]:
        results = [_result(block) for block in message.blocks if block.type == "tool_result"]
        text = "\n".join(_in_words(block) for block in message.blocks if block.type != "tool_result")
        words = [Message("user", text)] if text and not self._slipped_in(entry, text) else []
        if results and self._turn is not None:
            self._turn.followed += [*results, *words]
            self._keep(entry, (len(self._steps), self._step))
        elif results or words:
            yield from self.close()
            if not results:
                self._rewind(entry)
            for said in [*results, *words]:
                self.conversation.say(said)
            self._keep(entry, (len(self._steps), self._step))
            self._end_step()
        else:
            self._keep(entry, self._parents(entry))

    def _slipped_in(self, entry: _Entry, text: str) -> bool:
        """Words that are not the user's own. Caveats and echoes tell the model nothing to act on; the rest does."""
        if text.startswith(_ECHOES):
            return True
        if entry.is_meta:
            self.conversation.incomplete = True
        return bool(entry.is_meta)

    def _made_up(self, entry: _Entry) -> bool:
        return bool(entry.is_api_error_message) or _MESSAGES.decode(entry.message).model == "<synthetic>"

    def _parents(self, entry: _Entry) -> tuple[int, int]:
        """The step of an entry's parent; the latest where that is not known, the beginning for what has none."""
        if entry.parent_uuid is None:
            return 0, 0
        open_step = (len(self._steps), self._step)
        latest = open_step if self._turn is not None else (len(self._steps) - 1, self._steps[-1][0])
        at, number = self._step_of.get(entry.parent_uuid, latest) if entry.parent_uuid else latest
        if (at, number) == open_step or (at < len(self._steps) and self._steps[at][0] == number):
            return at, number
        self.conversation.incomplete = True  # back in a branch that was left before
        return latest

    def _keep(self, entry: _Entry, step: tuple[int, int]) -> None:
        if entry.uuid:
            self._step_of[entry.uuid] = step

    def _rewind(self, entry: _Entry) -> None:
        at, _ = self._parents(entry)
        if at < len(self._steps) - 1:
            if self.conversation.rewind(self._steps[at][1]):
                self.conversation.name = self._next_name()
            del self._steps[at + 1 :]


def _call(block: _Block) -> ToolCall:
    return ToolCall(block.id or "", FunctionCall(block.name or "", bytes(block.input).decode()))


def _result(block: _Block) -> Message:
    content = block.content
    if isinstance(content, list):
        content = "\n".join(_in_words(part) for part in msgspec.convert(content, list[_Block]))
    elif not isinstance(content, str):
        content = ""
    return Message("tool", (FAILED if block.is_error else "") + content, tool_call_id=block.tool_use_id)


def _in_words(block: _Block) -> str:
    return PICTURE if block.type == "image" else block.text or ""


def _usage(told: _Usage | None) -> Usage | None:
    """By OpenAI's count, where tokens from a cache are part of the prompt."""
    if told is None:
        return None
    cached = told.cache_read_input_tokens or 0
    prompt = (told.input_tokens or 0) + (told.cache_creation_input_tokens or 0) + cached
    answer = told.output_tokens or 0
    return Usage(prompt, answer, prompt + answer, {"cached_tokens": cached} if cached else None)
