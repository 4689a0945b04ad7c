"""Example: one conversation to learn from, as a record and as a line of a file. Knows nothing of how it is chosen."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from pathlib import Path

import msgspec

from distill.errors import DatasetError
from router.chat import Message, Tool


class Example(msgspec.Struct, frozen=True):
    """One conversation to learn from. `client` is the name of the key that it came with, `created` the Unix seconds of
    its last trace, `model` who answered. `learnt` are the places of the messages to learn from; None: of all that the
    assistant says. `anew` are those of the traces whose token ids say something else, as secrets were taken out or an
    answer was corrected: their tokens are rendered anew and not those that were served."""

    conversation: str
    repository: str
    traces: list[str]
    messages: list[Message]
    tools: list[Tool]
    client: str = ""
    created: float = 0.0
    model: str = ""
    learnt: list[int] | None = None
    anew: list[str] = []


class Dataset(msgspec.Struct, frozen=True):
    """A dataset on disk. `digest` names its content."""

    folder: str
    digest: str
    train: int
    valid: int


# Called anew for each pass; gives the same examples in the same order every time.
Source = Callable[[], Iterable[Example]]


def line_of(example: Example) -> bytes:
    """The example as a line of a file. Raises ValueError, OverflowError or RecursionError for what JSON cannot hold."""
    return msgspec.json.encode(example) + b"\n"


def short_digest(content: bytes) -> int:
    """64 bits that stand for the content."""
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest())


def stream_examples(path: Path) -> Iterator[Example]:
    """The examples of a JSONL file, one at a time. Raises DatasetError naming the first broken line."""
    decoder = msgspec.json.Decoder(Example)
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                try:
                    yield decoder.decode(line)
                except (msgspec.DecodeError, RecursionError) as error:
                    raise DatasetError(f"{path}, line {number}: {error}") from error
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error}") from error


def read_examples(path: Path) -> list[Example]:
    """The examples of a JSONL file. Raises DatasetError naming the first broken line."""
    return list(stream_examples(path))


def replayed(folders: Sequence[Path], known: Set[str]) -> Source:
    """What was trained on in earlier datasets, without the examples of traces that are `known`: those are still in the
    store, where they are judged anew."""

    def examples() -> Iterator[Example]:
        for folder in folders:
            for example in stream_examples(folder / "train.jsonl"):
                if known.isdisjoint(example.traces):
                    yield example

    return examples
