"""OpenCode's sessions: its storage folder of versions 0.6 to 1.1, and what `opencode export` prints.

Reads `~/.local/share/opencode` or the `storage` in it: session/<project>/<session>.json, message/<session>/<id>.json
and part/<message>/<id>.json, ids being in the order of time; and the file {info, messages: [{info, parts}]} that
`opencode export SESSION` of versions 0.6 to 1.18 makes. From 1.2 on sessions are kept in a database, which is not read:
export them. The system prompt and the tools' schemas are not in either.

* A model's step is an answer; a message of old versions holds several.
* Sub-agents have sessions of their own. What follows a compaction is a conversation of its own, beginning with the
  summary.
* Messages that OpenCode made up whole are left out, and what follows them is marked incomplete. Answers that broke off
  stay in the conversation and make no trace.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from distill.formats.conversation import Conversation, Told, place, said
from distill.formats.lines import BadLine, T, document, files, guarded, moment, shown, written_at
from distill.formats.messages import FAILED, PICTURE, arguments_text
from distill.trace import Trace
from router.chat import AnswerMessage, FunctionCall, Message, ToolCall

FORM = "opencode"
_SUMMARIZE = "What did we do so far?"  # OpenCode's question, to which the summary is the answer
_FINISH = {"tool-calls": "tool_calls", "content-filter": "content_filter", "stop": "stop", "length": "length"}


class _Time(msgspec.Struct):
    """Milliseconds."""

    created: float | None = None


class _Path(msgspec.Struct):
    cwd: str | None = None
    root: str | None = None


class _Session(msgspec.Struct):
    id: str
    directory: str | None = None


class _Info(msgspec.Struct, rename={"model": "modelID"}):
    role: str
    id: str = ""
    time: _Time | None = None
    model: str | None = None
    path: _Path | None = None
    summary: Any = None
    error: Any = None
    finish: str | None = None


class _State(msgspec.Struct):
    status: str = ""
    input: Any = None
    output: str | None = None
    error: str | None = None


class _Part(msgspec.Struct, rename={"call_id": "callID"}):
    type: str
    text: str | None = None
    synthetic: bool | None = None
    ignored: bool | None = None
    mime: str | None = None
    call_id: str | None = None
    tool: str | None = None
    state: _State | None = None


class _Message(msgspec.Struct):
    info: _Info
    parts: list[_Part]


class _Export(msgspec.Struct):
    info: _Session
    messages: list[_Message]


_SESSIONS = msgspec.json.Decoder(_Session)
_INFOS = msgspec.json.Decoder(_Info)
_PARTS = msgspec.json.Decoder(_Part)
_EXPORTS = msgspec.json.Decoder(_Export)


def read_export(path: Path) -> Iterator[Trace | BadLine]:
    """The traces of one exported session."""
    found = document(path, _EXPORTS)
    if isinstance(found, BadLine):
        yield found
    else:
        yield from guarded(path, 0, _traces(found.info, found.messages, written_at(path)))


def storage(path: Path) -> Path | None:
    """The storage folder that a path is or holds."""
    return next((found for found in (path, path / "storage") if (found / "message").is_dir()), None)


def read_storage(path: Path) -> Iterator[Trace | BadLine]:
    """The traces of all sessions, one session in memory at a time. A file that cannot be read is left out of its
    session, which is marked incomplete."""
    folder = storage(path.resolve()) or path.resolve()
    for file in files(folder / "session", "*.json"):
        if isinstance(file, BadLine):
            yield file
            continue
        session = document(file, _SESSIONS)
        if isinstance(session, BadLine):
            yield session
            continue
        bad: list[BadLine] = []
        messages = list(_stored(folder, file.stem, bad))
        yield from bad
        session.id = shown(file.stem)  # as OpenCode itself goes by file names
        yield from guarded(file, 0, _traces(session, messages, written_at(file), damaged=bool(bad)))


def _stored(folder: Path, session: str, bad: list[BadLine]) -> Iterator[_Message]:
    for name, info in _documents(folder / "message" / session, _INFOS, bad):
        parts = [part for _, part in _documents(folder / "part" / name, _PARTS, bad)]
        yield _Message(info, parts)


def _documents(folder: Path, decoder: msgspec.json.Decoder[T], bad: list[BadLine]) -> Iterator[tuple[str, T]]:
    """The JSON files of a folder by their names, in the order of these; those that cannot be read go to `bad`."""
    for file in files(folder, "*.json") if folder.is_dir() else ():
        if isinstance(file, BadLine):
            bad.append(file)
            continue
        found = document(file, decoder)
        if isinstance(found, BadLine):
            bad.append(found)
        else:
            yield file.stem, found


def _traces(session: _Session, messages: list[_Message], written: float, *, damaged: bool = False) -> Iterator[Trace]:
    told = _Telling(session, sorted({part.tool or "" for message in messages for part in message.parts} - {""}))
    told.conversation.incomplete = damaged
    for message in messages:
        at = (message.info.time.created or 0) / 1000 if message.info.time else 0.0
        if message.info.role == "user":
            told.hear(message.parts)
        elif message.info.role == "assistant":
            yield from told.answer(message.info, message.parts, moment(at, written))


class _Telling:
    """One session, grown message by message."""

    def __init__(self, session: _Session, called: list[str]) -> None:
        self._session = session
        self._called = called
        self._parts = 0
        self._begin()

    def hear(self, parts: list[_Part]) -> None:
        if any(part.type == "compaction" for part in parts):
            self._begin()
            self.conversation.say(Message("user", _SUMMARIZE))
            return
        texts = [part for part in parts if part.type == "text" and not part.ignored]
        pictures = [PICTURE for part in parts if (part.mime or "").startswith("image/")]
        text = "\n".join([*(part.text or "" for part in texts), *pictures])
        if texts and all(part.synthetic for part in texts):
            self.conversation.incomplete = True
        elif text.strip():
            self.conversation.say(Message("user", text))

    def answer(self, info: _Info, parts: list[_Part], at: float) -> Iterator[Trace]:
        where = info.path or _Path()
        root = where.root if where.root not in (None, "", "/") else ""
        folder = where.cwd or self._session.directory or ""
        self.conversation.place = msgspec.structs.replace(place(folder), repository=place(root or folder).repository)
        told = Told(at, info.model or "", _FINISH.get(info.finish or ""))
        for step in _steps(parts):
            answer = _answer(step)
            if info.error is not None or info.summary is True:
                if answer.content or answer.tool_calls:
                    self.conversation.say(said(answer))
            else:
                yield from self.conversation.answer(answer, told)
            for message in _results(step):
                self.conversation.say(message)

    def _begin(self) -> None:
        part = f".{self._parts}" if self._parts else ""
        self._parts += 1
        self.conversation = Conversation(FORM, self._session.id + part, called=self._called)


def _steps(parts: Iterable[_Part]) -> list[list[_Part]]:
    steps: list[list[_Part]] = [[]]
    for part in parts:
        if part.type == "step-start":
            steps.append([])
        steps[-1].append(part)
    return steps


def _answer(step: list[_Part]) -> AnswerMessage:
    text = "".join(part.text or "" for part in step if part.type == "text" and not part.ignored)
    thoughts = "".join(part.text or "" for part in step if part.type == "reasoning")
    calls = [
        ToolCall(part.call_id or "", FunctionCall(part.tool or "", arguments_text(part.state and part.state.input)))
        for part in step
        if part.type == "tool"
    ]
    return AnswerMessage(text or None, calls or None, reasoning_content=thoughts or None)


def _results(step: list[_Part]) -> Iterator[Message]:
    """What the tools said that came to an end."""
    for part in step:
        state = part.state if part.type == "tool" else None
        if state is not None and state.status in ("completed", "error"):
            text = state.output or "" if state.status == "completed" else FAILED + (state.error or "")
            yield Message("tool", text, tool_call_id=part.call_id or "")
