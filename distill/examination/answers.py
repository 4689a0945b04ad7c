"""Answers of an examination on disk: one file an arm, a line an answer, appended as they come.

Owns the files. What a kill cut short is asked again, and so is what an endpoint failed to answer; of two lines about
one question the later one counts.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from distill.agent import Conversation
from distill.errors import ExaminationError
from distill.examination.arms import Arm
from distill.examination.items import Item
from distill.examination.marking import Mark
from router.chat import FunctionCall, Message


class Answered(msgspec.Struct, frozen=True):
    """How an arm answered one question. `messages` begin with the question; tokens are those of all requests."""

    mark: Mark
    text: str
    answer: str
    calls: list[FunctionCall] = []
    messages: list[Message] = []
    error: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0

    @property
    def failed(self) -> bool:
        """Whether the endpoint failed, which is no answer of the model."""
        return self.mark.end == "error"


def answered(item: Item, made: Mark, conversation: Conversation, before: int) -> Answered:
    """`before` is how many messages stood before the question."""
    return Answered(
        mark=made,
        text=item.question.text,
        answer=conversation.answer,
        calls=list(conversation.calls),
        messages=conversation.messages[before:],
        error=conversation.error,
        prompt_tokens=sum(turn.prompt_tokens for turn in conversation.turns),
        completion_tokens=sum(turn.completion_tokens for turn in conversation.turns),
    )


def digest_of(items: Sequence[Item]) -> str:
    """What the questions are, with the files that they are about and the conversations before them."""
    seen = hashlib.sha256()
    for item in items:
        seen.update(msgspec.json.encode([item.question, item.toolbox.version, list(item.earlier)]) + b"\n")
    return seen.hexdigest()[:16]


def folder_of(root: Path, digest: str, arms: Sequence[Arm], max_tokens: int) -> Path:
    """The folder under `root` of these questions put to these arms."""
    asked = msgspec.json.encode([digest, max_tokens, sorted(arms, key=lambda arm: arm.label)])
    return root / hashlib.sha256(asked).hexdigest()[:16]


class Sheet:
    """An arm's file of answers. Use it as a context."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.answers: dict[str, Answered] = {}
        self._descriptor = -1

    def __enter__(self) -> Sheet:
        """Raises ExaminationError while another process writes it."""
        self._descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._descriptor)
            raise ExaminationError("this very examination is under way in another process") from error
        self.answers = read_answers(self.path)
        size = os.fstat(self._descriptor).st_size
        if size and os.pread(self._descriptor, 1, size - 1) != b"\n":
            os.write(self._descriptor, b"\n")  # a line that was cut short stays alone
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    def left(self, items: Sequence[Item]) -> list[Item]:
        """Those that are to be asked: they were not, or the endpoint failed."""
        return [item for item in items if (one := self.answers.get(item.question.id)) is None or one.failed]

    def clear(self) -> None:
        """Begin anew."""
        os.ftruncate(self._descriptor, 0)
        self.answers.clear()

    def add(self, one: Answered) -> None:
        """Kept when this returns, whatever happens to this process."""
        os.write(self._descriptor, msgspec.json.encode(one) + b"\n")
        self.answers[one.mark.question] = one


def read_answers(path: Path) -> dict[str, Answered]:
    """The answers by question; lines that make no sense are left out."""
    found: dict[str, Answered] = {}
    if path.exists():
        for line in path.read_bytes().splitlines():
            try:
                one = msgspec.json.decode(line, type=Answered)
            except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
                continue
            found[one.mark.question] = one
    return found
