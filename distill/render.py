"""Messages to tokens and spans: the one renderer, used for serving and for training alike.

Owns the chat template, its sandbox and the tokenizer of a model folder. Text that comes from outside is split inside
any string that the tokenizer would take for a control token, so it can never become one; the spans to learn from
come from the conversation's structure, never from looking for markers. Knows nothing of MLX or of how tokens are used.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any, NoReturn

import jinja2
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment
from tokenizers import Tokenizer

from distill.errors import ModelError
from router.chat import Message, Tool, ToolCall

_CONVERSATIONS = 64  # whose beginnings are kept as they were rendered
_SPLIT = "\ufdd0"  # a Unicode noncharacter: marks where text is cut before encoding


@dataclass(frozen=True)
class Segment:
    """A stretch of a rendered conversation; `learnt` when it is what the assistant wrote."""

    ids: list[int]
    learnt: bool


class Renderer:
    """Renders conversations for one model folder. Cheap to call, safe to share between threads."""

    def __init__(self, folder: Path) -> None:
        tokenizer_file, template = folder / "tokenizer.json", read_template(folder)
        if not tokenizer_file.exists():
            raise ModelError(f"{folder} holds no tokenizer.json")
        vocabulary = tokenizer_file.read_bytes()
        try:
            self._tokenizer: Tokenizer = Tokenizer.from_buffer(vocabulary)
            self._template = _sandbox().from_string(template)
        except (ValueError, jinja2.TemplateError) as error:
            raise ModelError(f"the tokenizer or the chat template in {folder} is damaged: {error}") from error
        self._variables = _token_names(folder)
        added = [re.escape(token.content) for token in self._tokenizer.get_added_tokens_decoder().values()]
        # looks ahead, so that one that begins inside another is found too
        self._control = re.compile(f"(?={'|'.join(added)}).", re.DOTALL) if added else None
        self.eos_ids = _eos_ids(folder)
        self._beginnings = _Beginnings()
        self.template_digest = hashlib.sha256(template.encode()).hexdigest()
        self.tokenizer_digest = hashlib.sha256(vocabulary).hexdigest()

    def speaks_like(self, other: Renderer) -> bool:
        """Whether a token id means the same in both vocabularies; one may have tokens that the other lacks."""
        ours, theirs = self._tokenizer.get_vocab(), other._tokenizer.get_vocab()
        fewer, more = sorted((ours, theirs), key=len)
        return all(more.get(token) == number for token, number in fewer.items())

    def prompt(self, messages: list[Message], tools: list[Tool] | None = None) -> list[int]:
        """Token ids of the conversation with the header that asks the assistant to speak."""
        return [i for segment in self.segments(messages, tools, ask=True) for i in segment.ids]

    def segments(
        self,
        messages: list[Message],
        tools: list[Tool] | None,
        *,
        ask: bool = False,
        learnt: Collection[int] | None = None,
    ) -> list[Segment]:
        """The conversation cut where the assistant starts and stops speaking.

        Assistant turns are encoded apart from what is around them, as they were when they were generated, so the
        tokens trained on are those that were served. A template that renders earlier turns differently once later
        ones are there cannot be cut so; its conversation comes as one segment from which nothing is learnt. `learnt`
        are the places of the messages to learn from, by default all that the assistant says.
        """
        chosen = [learnt is None or at in learnt for at, message in enumerate(messages) if message.role == "assistant"]
        messages = settled(messages)
        plain = [self._plain(message) for message in messages]
        specs = self._specs(tools) if tools else None
        whole = self._render(plain, specs, ask)
        names = _names(plain, specs)
        # nobody was asked for what opens a conversation
        turns = [index for index, message in enumerate(messages) if message.role == "assistant" and index]
        known, (pieces, done) = self._beginnings.longest([names[index] for index in turns])
        if not whole.startswith(done):
            known, pieces, done = 0, [], ""
        for index in turns[known:]:
            before, after = self._render(plain[:index], specs, True), self._render(plain[: index + 1], specs, False)
            if not (before.startswith(done) and after.startswith(before) and whole.startswith(after)):
                return [Segment(self._encode(whole), learnt=False)]
            said, rest = self._said(after[len(before) :])
            asked = Segment(self._encode(before[len(done) :]), False)
            pieces = [*pieces, asked, Segment(said, True), Segment(rest, False)]
            done = after
        if turns:
            self._beginnings.keep(names[turns[-1]], (pieces, done))
        return [*_masked(pieces, chosen[-len(turns) :]), Segment(self._encode(whole[len(done) :]), learnt=False)]

    def encode(self, text: str) -> list[int]:
        """Token ids of text from outside: no control tokens."""
        return self._encode(self._cut(text))

    def decode(self, ids: list[int]) -> str:
        return str(self._tokenizer.decode(ids, skip_special_tokens=False))

    def _said(self, text: str) -> tuple[list[int], list[int]]:
        """An assistant's turn as (what it generated, the end token included; what the template adds after it)."""
        ids = self._encode(text)
        end = max((i for i, token in enumerate(ids) if token in self.eos_ids), default=len(ids) - 1)
        return ids[: end + 1], ids[end + 1 :]

    def _render(self, messages: list[dict[str, Any]], tools: list[Any] | None, ask: bool) -> str:
        if not messages:
            return ""
        try:
            return self._template.render(messages=messages, tools=tools, add_generation_prompt=ask, **self._variables)
        except (jinja2.TemplateError, TypeError, ValueError, LookupError, ArithmeticError, RecursionError) as error:
            raise ModelError(f"the model's chat template refuses these messages: {error}") from error

    def _encode(self, text: str) -> list[int]:
        pieces = self._tokenizer.encode_batch([p for p in text.split(_SPLIT) if p], add_special_tokens=False)
        return [i for piece in pieces for i in piece.ids]

    def _cut(self, text: str) -> str:
        """`text` with a cut inside everything that would be read as a control token."""
        clean = text.replace(_SPLIT, "\ufffd").encode("utf-8", "replace").decode()  # lone surrogates become "?"
        if self._control is None:
            return clean
        return self._control.sub(lambda found: found[0] + _SPLIT, clean)

    def _cut_all(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._cut(value)
        if isinstance(value, dict):
            return {self._cut_all(key): self._cut_all(item) for key, item in value.items()}
        return [self._cut_all(item) for item in value] if isinstance(value, list) else value

    def _plain(self, message: Message) -> dict[str, Any]:
        """A message as templates expect it: text content, arguments as objects."""
        plain: dict[str, Any] = {"role": message.role, "content": self._cut(message.text).strip()}
        if message.role in ("tool", "function"):
            plain["content"] = self._cut(message.text)
            plain["tool_call_id"] = self._cut(message.tool_call_id or "")
            plain["name"] = self._cut(message.name or "")
        if message.role == "assistant" and (thoughts := message.reasoning_content or message.reasoning):
            plain["reasoning_content"] = self._cut(thoughts)
        if message.tool_calls:
            plain["tool_calls"] = [self._call(call) for call in message.tool_calls]
        return plain

    def _specs(self, tools: list[Tool]) -> list[Any]:
        try:
            return [self._cut_all(_tool(tool)) for tool in tools]
        except RecursionError as error:
            raise ModelError("the tools' schemas are nested too deeply") from error

    def _call(self, call: ToolCall) -> dict[str, Any]:
        function = {"name": self._cut(call.function.name), "arguments": self._arguments(call.function.arguments)}
        return {"id": self._cut(call.id), "type": "function", "function": function}

    def _arguments(self, text: str) -> Any:
        """The arguments as an object. What is none becomes one that holds the text, since templates go through the
        arguments one by one. JSON can spell any text with escapes, so its strings are cut once they are read."""
        try:
            value = json.loads(text or "{}")
            return self._cut_all(value) if isinstance(value, dict) else {"arguments": self._cut(text)}
        except (ValueError, RecursionError):
            return {"arguments": self._cut(text)}


def _masked(pieces: list[Segment], chosen: list[bool]) -> list[Segment]:
    """The segments with those turns of the assistant not learnt that are not chosen."""
    turns = iter(chosen)
    return [Segment(piece.ids, next(turns)) if piece.learnt else piece for piece in pieces]


_Beginning = tuple[list[Segment], str]  # of a conversation up to an assistant's turn: cut, and as text


class _Beginnings:
    """Conversations that were rendered lately, so that one that goes on costs what is new and not all of its turns."""

    def __init__(self) -> None:
        self._kept: OrderedDict[bytes, _Beginning] = OrderedDict()
        self._lock = threading.Lock()

    def longest(self, names: list[bytes]) -> tuple[int, _Beginning]:
        """Of the beginnings named, shortest first, how many need no rendering, and the longest of these."""
        with self._lock:
            for count in range(len(names), 0, -1):
                if (found := self._kept.get(names[count - 1])) is not None:
                    self._kept.move_to_end(names[count - 1])
                    return count, found
        return 0, ([], "")

    def keep(self, name: bytes, beginning: _Beginning) -> None:
        with self._lock:
            self._kept[name] = beginning
            self._kept.move_to_end(name)
            if len(self._kept) > _CONVERSATIONS:
                self._kept.popitem(last=False)


def _names(messages: list[dict[str, Any]], specs: list[Any] | None) -> list[bytes]:
    """For each message a digest of the conversation up to it."""
    running = hashlib.sha256(json.dumps(specs).encode())
    names = []
    for message in messages:
        running.update(json.dumps(message).encode() + b"\n")
        names.append(running.digest())
    return names


def settled(messages: list[Message]) -> list[Message]:
    """The messages as every template takes them: one system message, in front.

    Those that lead are merged. A later one stays where it was said, as a marked note in the user turn that it stands
    next to, or in one of its own: in front it would change the beginning of the prompt, and with it everything that
    is kept of the conversation.
    """
    leading = list(takewhile(_rules, messages))
    kept = [Message("system", "\n\n".join(m.text for m in leading if m.text))] if leading else []
    note = ""
    for message in messages[len(leading) :]:
        if _rules(message):
            note += f"<system>\n{message.text}\n</system>\n\n"
        elif message.role == "user" and note:
            kept.append(Message("user", note + message.text, name=message.name))
            note = ""
        else:
            kept = _noted(kept, note)
            kept.append(message)
            note = ""
    return _noted(kept, note)


def _noted(messages: list[Message], note: str) -> list[Message]:
    """The messages with a note at their end."""
    if not note:
        return messages
    last = messages[-1] if messages else None
    if last is not None and last.role == "user":
        return [*messages[:-1], Message("user", f"{last.text}\n\n{note.strip()}", name=last.name)]
    return [*messages, Message("user", note.strip())]


def _rules(message: Message) -> bool:
    return message.role in ("system", "developer")


def _tool(tool: Tool) -> dict[str, Any]:
    function: dict[str, Any] = {"name": tool.function.name}
    if tool.function.description:
        function["description"] = tool.function.description
    return {"type": "function", "function": {**function, "parameters": tool.function.parameters}}


def _sandbox() -> ImmutableSandboxedEnvironment:
    def refuse(message: str) -> NoReturn:
        raise jinja2.TemplateError(message)

    def to_json(value: Any, indent: int | None = None, **_: Any) -> str:
        return json.dumps(value, ensure_ascii=False, indent=indent)

    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
    environment.filters["tojson"] = to_json
    environment.globals["raise_exception"] = refuse
    return environment


def read_template(folder: Path) -> str:
    """The chat template of a model folder. Raises ModelError when it has none."""
    if (folder / "chat_template.jinja").exists():
        return (folder / "chat_template.jinja").read_text()
    template = _json(folder / "tokenizer_config.json").get("chat_template")
    if isinstance(template, list):  # several named ones: the one for tools, else the default
        named = {entry["name"]: entry["template"] for entry in template}
        template = named.get("tool_use", named.get("default"))
    if not isinstance(template, str):
        raise ModelError(f"{folder} holds no chat template")
    return template


def _token_names(folder: Path) -> dict[str, str]:
    config = _json(folder / "tokenizer_config.json")
    names = {key: config.get(key) or "" for key in ("bos_token", "eos_token", "pad_token", "unk_token")}
    return {key: value["content"] if isinstance(value, dict) else value for key, value in names.items()}


def _eos_ids(folder: Path) -> set[int]:
    """Every token that ends a turn: the model's own and those of its generation settings."""
    ids: set[int] = set()
    for name in ("config.json", "generation_config.json"):
        found = _json(folder / name).get("eos_token_id")
        ids.update(found if isinstance(found, list) else [found] if isinstance(found, int) else [])
    return ids


def _json(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        loaded = json.loads(path.read_text())
    except ValueError as error:
        raise ModelError(f"{path} is damaged: {error}") from error
    return loaded if isinstance(loaded, dict) else {}
