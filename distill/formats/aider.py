"""Aider's two histories, as versions 0.20 to 0.86 write them.

* `aider`: `.aider.chat.history.md`, what was seen on the screen. The user's lines begin with "#### ", aider's own with
  "> ", and both end with two spaces, which tells them from an answer's own markdown. System prompt, repository map and
  files are not in it, so all its traces are marked incomplete; an answer to what aider itself sent back makes none.
* `aider-llm`: `.aider.llm.history` (with --llm-history-file), each request whole with its answer, every line behind the
  name of its role. A request shorter than the one before begins another conversation. The model is not in it. What was
  sent in parts, for prompt caching, is misread where a text has lines like the log's own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import msgspec

from distill.formats.conversation import Conversation, Place, Told, place
from distill.formats.lines import BadLine, guarded, lines, moment, shown, written_at
from distill.trace import Trace
from router.chat import AnswerMessage, Message, Role

CHAT, LLM = "aider", "aider-llm"
CHAT_FILES, LLM_FILES = ".aider.chat.history.md", ".aider.llm.history"
STARTED = re.compile(r"# aider chat started at (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)\s*")
LOGGED = re.compile(r"(TO LLM|LLM RESPONSE) (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\s*")
_MODEL = re.compile(r"> (?:Main model|Models?): (\S+) with ")
_COMMIT = re.compile(r"> Commit ([0-9a-f]{7,40}) ")
_ASKING = ("/ask ", "/code ", "/architect ", "/context ", "/help ")  # commands whose rest is said to the model
_FORGETTING = ("/clear", "/reset")
_ROLES = ("SYSTEM", "USER", "ASSISTANT")
_SEPARATOR = "-------"
_PART = "type: text\ntext: "  # how a message in parts is logged: for vendors whose cache has to be asked for
_CACHE_CONTROL = re.compile(r"\ncache_control: \{[^\n]*\}\Z")


def read_chat(path: Path) -> Iterator[Trace | BadLine]:
    chat = _Chat(path)
    for line in lines(path):
        if isinstance(line, BadLine):
            yield line
        else:
            yield from guarded(path, line[0], chat.take(line[1]))
    yield from guarded(path, 0, chat.close())


def read_llm(path: Path) -> Iterator[Trace | BadLine]:
    log = _Log(path)
    for line in lines(path):
        if isinstance(line, BadLine):
            yield line
        else:
            yield from guarded(path, line[0], log.take(line[1]))
    yield from guarded(path, 0, log.close())


def _where(path: Path) -> Place:
    """Aider keeps its histories in the folder that it works in."""
    return place(folder=shown(path.parent)) if path.name.startswith(".aider.") else Place()


def _named(form: str, where: Place, name: str) -> str:
    return "-".join(part for part in (form, where.repository, name) if part)


class _Chat:
    """The screen, line by line."""

    def __init__(self, path: Path) -> None:
        self._place = _where(path)
        self._model = ""
        self._at = written_at(path)
        self._words: list[str] = []
        self._answer: list[str] = []
        self._name, self._parts = shown(path.stem), 0
        self._begin()

    def take(self, line: bytes) -> Iterator[Trace]:
        text = line.decode().rstrip("\r\n")
        if started := STARTED.fullmatch(text):
            yield from self.close()
            self._at = moment(started[1], self._at)
            self._name, self._parts = started[1].replace(" ", "T"), 0
            self._begin()
        elif text.startswith("#### ") and text.endswith("  "):
            yield from self._end_answer()
            self._words.append(text[5:].rstrip())
        elif text.startswith("> ") and text.endswith("  "):
            yield from self.close()
            self._note(text)
        else:
            self._end_words()
            self._answer.append(text)

    def close(self) -> Iterator[Trace]:
        self._end_words()
        yield from self._end_answer()

    def _begin(self) -> None:
        part = f".{self._parts}" if self._parts else ""
        self._parts += 1
        self._asked = False  # the user's words are the last that the model was told
        self._conversation = Conversation(CHAT, _named(CHAT, self._place, self._name + part))
        self._conversation.incomplete = True

    def _note(self, text: str) -> None:
        if model := _MODEL.match(text):
            self._model = model[1]
        elif commit := _COMMIT.match(text):
            self._place = Place(self._place.repository, self._place.folder, commit[1])

    def _end_words(self) -> None:
        words, self._words = "\n".join(self._words), []
        if words.startswith(_ASKING):
            words = words.partition(" ")[2]
        if words.split(" ")[0] in _FORGETTING:
            self._begin()
        elif words and not words.startswith(("/", "!")) and words != "<blank>":
            self._conversation.say(Message("user", words))
            self._asked = True

    def _end_answer(self) -> Iterator[Trace]:
        text, self._answer = "\n".join(self._answer).strip(), []
        if text and self._asked:
            self._asked = False
            self._conversation.place = self._place
            yield from self._conversation.answer(AnswerMessage(text), Told(self._at, self._model))
        elif text:
            self._conversation.say(Message("assistant", text))


class _Log:
    """Requests and answers, line by line."""

    def __init__(self, path: Path) -> None:
        self._place = _where(path)
        self._at = written_at(path)
        self._kind = ""
        self._logged: list[tuple[str, list[str]]] = []  # role and lines of each message that is being read
        self._request: list[Message] = []
        self._name = ""
        self._turn = 0
        self._parent = ""

    def take(self, line: bytes) -> Iterator[Trace]:
        text = line.decode().rstrip("\r\n")
        if logged := LOGGED.fullmatch(text):
            yield from self.close()
            self._kind = logged[1]
            self._at = moment(logged[2], self._at)
        elif text == _SEPARATOR:
            self._logged.append(("", []))
        elif text or self._logged:
            self._add(text)

    def close(self) -> Iterator[Trace]:
        """What was logged last is whole."""
        logged, self._logged = self._logged, []
        kind, self._kind = self._kind, ""
        messages = [Message(cast(Role, role.lower()), _text(lines)) for role, lines in logged if role]
        if kind == "TO LLM":
            if len(messages) < len(self._request) or not self._name:
                self._name = _named(LLM, self._place, f"{self._at:.0f}")
                self._turn, self._parent = 0, ""
            self._request = messages
        elif messages and self._request:
            yield from self._answered("\n".join(message.text for message in messages).strip())

    def _add(self, text: str) -> None:
        role, _, rest = text.partition(" ")
        current, said = self._logged.pop() if self._logged else ("", [])
        if role in _ROLES and current in ("", role):
            said.append(rest)
            current = role
        elif current:
            said.append(text)  # the line goes on: a text in parts is logged with its own line ends
        self._logged.append((current, said))

    def _answered(self, answer: str) -> Iterator[Trace]:
        conversation = Conversation(LLM, self._name)
        conversation.place = self._place
        for message in self._request:
            conversation.say(message)
        for trace in conversation.answer(AnswerMessage(answer), Told(self._at)):
            yield msgspec.structs.replace(trace, turn=self._turn, parent=self._parent)
            self._turn, self._parent = self._turn + 1, trace.id


def _text(said: list[str]) -> str:
    text = "\n".join(said)
    return _CACHE_CONTROL.sub("", text.removeprefix(_PART)) if text.startswith(_PART) else text
