"""A conversation from elsewhere, told message by message, as traces in quarantine.

Owns what an imported trace is: its id, its Decision, its place in the conversation. Knows nothing of formats or files.
An id is a hash of what was said and in which format, so the same conversation has the same traces whenever it is read,
however much it has grown meanwhile and whatever file it was copied to.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from distill.trace import Trace
from router.chat import AnswerMessage, ChatRequest, FunctionSpec, Message, Tool, Usage
from router.decision import Decision

_ID_DIGITS = 32  # hexadecimal, of an imported trace's id
_ANYTHING = {"type": "object", "properties": {}, "additionalProperties": True}


class Told(msgspec.Struct, frozen=True):
    """What is told of one answer besides its words. `at` is Unix seconds; `wire_id` the id that its client saw."""

    at: float
    model: str = ""
    finish_reason: str | None = None
    usage: Usage | None = None
    wire_id: str = ""


class Place(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a conversation was held, as far as it is told. `repository` is a name, `folder` the working directory."""

    repository: str = ""
    folder: str = ""
    commit: str = ""
    branch: str = ""


def place(folder: str = "", remote: str = "", commit: str = "", branch: str = "") -> Place:
    """The repository's name is the last part of its remote address, or else of the folder."""
    name = remote.removesuffix("/").removesuffix(".git").replace(":", "/").rpartition("/")[2]
    return Place(name or folder.replace("\\", "/").rstrip("/").rpartition("/")[2], folder, commit, branch)


def inferred(names: Iterable[str]) -> list[Tool]:
    """Tools of which nothing but the names is known."""
    return [Tool(FunctionSpec(name, parameters=_ANYTHING)) for name in sorted(set(names))]


def quarantined(trace: Trace, form: str, name: str) -> Trace:
    """The trace as an import named after a digest: nothing is learnt from it until somebody takes it, and it stays on
    this machine until somebody says otherwise."""
    known = {"id": f"import-{name[:_ID_DIGITS]}", "client": f"import:{form}"}
    return msgspec.structs.replace(trace, **known, teach=False, may_leave_machine=False)


def said(answer: AnswerMessage) -> Message:
    """An answer as a message of the conversation that goes on."""
    return Message("assistant", answer.content, answer.tool_calls, reasoning_content=answer.thoughts or None)


class Conversation:
    """The messages so far, and a trace for each answer. `tools` are those that are told, and part of what was said;
    `called` the names of tools of which no more is known."""

    def __init__(self, form: str, name: str, *, tools: Sequence[Tool] = (), called: Iterable[str] = ()) -> None:
        self.name = name
        self.place = Place()
        self.incomplete = False  # the model was told more than the messages say
        self._form = form
        self._inferred = not tools
        self._tools = list(tools) or inferred(called)
        self._messages: list[Message] = []
        seed = hashlib.sha256(form.encode() + b"\0" + msgspec.json.encode(tools))
        self._digests = [seed.digest()]  # of the beginnings, by their length
        self._answers: list[tuple[int, str]] = []  # how much was said before each, and its trace

    def __len__(self) -> int:
        return len(self._messages)

    def say(self, message: Message) -> None:
        """Go on with a message that makes no trace. Raises what msgspec does for text that is not Unicode."""
        digest = hashlib.sha256(self._digests[-1] + msgspec.json.encode(message)).digest()
        self._messages.append(message)
        self._digests.append(digest)

    def answer(self, answer: AnswerMessage, told: Told) -> list[Trace]:
        """Go on with an answer: its trace, or none where nothing was asked or nothing answered."""
        if not (answer.content or answer.tool_calls):
            return []
        traces = [self._trace(answer, told)] if self._messages else []
        self._answers += [(len(self), trace.id) for trace in traces]
        self.say(said(answer))
        return traces

    def rewind(self, length: int) -> bool:
        """Go back to where `length` messages were said: the user took back what came after. Whether an answer was
        among that; then what follows is another conversation, and should have another name."""
        del self._messages[length:], self._digests[length + 1 :]
        before = len(self._answers)
        while self._answers and self._answers[-1][0] >= length:
            self._answers.pop()
        return len(self._answers) < before

    def _trace(self, answer: AnswerMessage, told: Told) -> Trace:
        msgspec.json.encode(told)  # what cannot be written is refused here, and not where the trace is kept
        name = hashlib.sha256(self._digests[-1] + msgspec.json.encode(answer) + told.wire_id.encode()).hexdigest()
        finish = told.finish_reason or ("tool_calls" if answer.tool_calls else "stop")
        trace = Trace(
            id="",
            created=told.at,
            conversation=self.name,
            request=ChatRequest(told.model, list(self._messages), self._tools or None, metadata=self._metadata()),
            state="completed",
            decision=Decision("teacher", "requested", detail=f"imported from {self._form}"),
            turn=len(self._answers),
            answer=answer,
            finish_reason=finish,
            usage=told.usage,
            model=told.model,
            wire=self._form,
            wire_id=told.wire_id,
            parent=self._answers[-1][1] if self._answers else "",
        )
        return quarantined(trace, self._form, name)

    def _metadata(self) -> dict[str, Any] | None:
        known: dict[str, Any] = msgspec.to_builtins(self.place)
        if self._inferred and self._tools:
            known["tools_inferred"] = True
        if self.incomplete:
            known["incomplete"] = True
        return known or None
