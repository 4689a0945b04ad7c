"""What goes between `apart` and the process `inside`: bytes with their length before them. Owns this form alone."""

from __future__ import annotations

from typing import IO

import msgspec

_LENGTH = 4


class Request(msgspec.Struct, frozen=True):
    """A file whose declarations are asked for."""

    path: str
    language: str
    content: bytes


def write_frame(stream: IO[bytes], body: bytes) -> None:
    """Raises OSError where nobody reads."""
    stream.write(len(body).to_bytes(_LENGTH, "big") + body)
    stream.flush()


def read_frame(stream: IO[bytes]) -> bytes | None:
    """The next bytes; None where the stream ended, also in their midst."""
    head = stream.read(_LENGTH)
    length = int.from_bytes(head, "big")
    body = stream.read(length)
    return body if len(head) == _LENGTH and len(body) == length else None
