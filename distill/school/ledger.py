"""The ledger of a set: what was asked and what came of it, a line each, in the order of time.

Owns the file: a line is on disk before anybody hears that it is, and a last line that was cut off when its writer died
counts for nothing. Knows nothing of what is asked or how.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

import msgspec

from distill.agent import End
from distill.errors import DatasetError
from router.chat import FunctionCall, Message

NAME = "runs.jsonl"


class Taken(msgspec.Struct, frozen=True, tag="taken"):
    """What the teacher did with a question: `sample` counts its answers from 0, `messages` begin with the question,
    `thoughts` are what it said beside its calls, `code` names what an endpoint failed by. `seconds` are those of the
    whole loop without waiting for a busy endpoint; `at` is when it ended, in Unix seconds."""

    question: str
    sample: int
    conversation: str
    end: End
    answer: str
    calls: list[FunctionCall]
    messages: list[Message]
    traces: list[str]
    seconds: float
    prompt_tokens: int
    completion_tokens: int
    at: float
    thoughts: str = ""
    code: str = ""
    error: str = ""


class Settled(msgspec.Struct, frozen=True, tag="settled"):
    """A question that is done: `kept` is the sample that is kept, None: none is, and `reason` says why. The gateway was
    told of all others."""

    question: str
    kept: int | None
    reason: str


_LINE = msgspec.json.Decoder(Taken | Settled)


class Ledger:
    """What is known of a set's questions. One process at a time has it open to write."""

    def __init__(self, file: FileIO) -> None:
        self._file = file
        self.taken: dict[str, dict[int, Taken]] = {}
        self.settled: dict[str, Settled] = {}
        self.prompt_tokens = self.completion_tokens = 0  # of all answers

    @classmethod
    @contextmanager
    def opened(cls, folder: Path) -> Iterator[Ledger]:
        """Raises DatasetError where another process has it, or a line in the middle is damaged."""
        with _new_or_old(folder / NAME) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise DatasetError(f"another run is at work in {folder}") from None
            ledger = cls(file)
            ledger._read(folder / NAME)
            yield ledger

    def add(self, line: Taken | Settled) -> None:
        """Raises OSError, and then the line is not there."""
        number = self._file.fileno()
        end = os.lseek(number, 0, os.SEEK_END)
        content = memoryview(msgspec.json.encode(line) + b"\n")
        try:
            while content:
                content = content[os.write(number, content) :]
            os.fsync(number)
        except OSError:
            os.ftruncate(number, end)
            raise
        self._note(line)

    def _read(self, path: Path) -> None:
        content = self._file.read()
        whole = content.rfind(b"\n") + 1
        for number, line in enumerate(content[:whole].splitlines(), 1):
            try:
                self._note(_LINE.decode(line))
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                raise DatasetError(f"{path}, line {number} is damaged: {error}") from error
        self._file.truncate(whole)

    def _note(self, line: Taken | Settled) -> None:
        if isinstance(line, Taken):
            self.taken.setdefault(line.question, {})[line.sample] = line
            self.prompt_tokens += line.prompt_tokens
            self.completion_tokens += line.completion_tokens
        else:
            self.settled[line.question] = line


def _new_or_old(path: Path) -> FileIO:
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b", buffering=0)
