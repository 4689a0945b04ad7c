"""What gateway and recording process say to each other over a pipe.

Owns the form: a frame is four bytes of length, one that tells what it is, and JSON; what comes back are lines of JSON.
"""

from __future__ import annotations

import asyncio
import struct
from pathlib import Path

import msgspec

from distill.outcome import Outcome
from distill.store.writing import encodable
from distill.trace import Trace


class Forgetting(msgspec.Struct, frozen=True):
    """That traces are to be forgotten, with those that go on from them."""

    traces: list[str]


Item = Trace | Outcome | Forgetting

FORGETTING = b"f"
_HEAD = struct.Struct("<Ic")
_KINDS: dict[bytes, type[Item]] = {b"t": Trace, b"o": Outcome, FORGETTING: Forgetting}
_NAMES = {kind: name for name, kind in _KINDS.items()}
_decoders = {kind: msgspec.json.Decoder(type_) for kind, type_ in _KINDS.items()}
_encode = msgspec.json.Encoder().encode


class Orders(msgspec.Struct, frozen=True):
    """What a recording process is told: where things are, and how long traces are kept and how many bytes of them (0:
    all)."""

    store: Path
    spool: Path
    key: Path
    keep_days: float = 0.0
    keep_bytes: int = 0

    @classmethod
    def of(cls, data: Path, *, keep_days: float = 0.0, keep_bytes: int = 0) -> Orders:
        """Those for a data folder."""
        return cls(data / "traces.db", data / "spool", data / "redact.key", keep_days, keep_bytes)

    @classmethod
    def read(cls, text: str) -> Orders:
        """What `text` gave. Raises msgspec.ValidationError."""
        return msgspec.json.decode(text, type=cls, dec_hook=lambda _, path: Path(path))

    @property
    def datasets(self) -> Path:
        """Where examples of traces are."""
        return self.store.with_name("datasets")

    @property
    def text(self) -> str:
        """As JSON, for a command line."""
        return msgspec.json.encode(self, enc_hook=str).decode()


class Heard(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the recording process tells: `done` of the frames that it was sent are on disk, of these `spooled` beside
    the store for now. `error` says what is wrong, empty while nothing is. Where the last of what is done was to forget,
    `forgotten` are the traces that are gone, with the ids that clients saw."""

    done: int = 0
    spooled: int = 0
    error: str = ""
    forgotten: dict[str, str] = {}


def framed(item: Item) -> bytes:
    """An item as a frame."""
    body = _encoded(item)
    return _HEAD.pack(len(body), _NAMES[type(item)]) + body


async def read_frame(stream: asyncio.StreamReader) -> tuple[bytes, bytes] | None:
    """The next frame's kind and JSON; None when there are no more. One that was cut off does not count."""
    try:
        length, kind = _HEAD.unpack(await stream.readexactly(_HEAD.size))
        return kind, await stream.readexactly(length)
    except asyncio.IncompleteReadError:
        return None


def opened(kind: bytes, body: bytes) -> Item:
    """Raises msgspec.DecodeError."""
    return _decoders[kind].decode(body)


def unframed(frame: bytes) -> Item:
    """What `framed` wrote."""
    return opened(frame[_HEAD.size - 1 : _HEAD.size], frame[_HEAD.size :])


def _encoded(item: Item) -> bytes:
    try:
        return _encode(item)
    except UnicodeEncodeError:  # lone surrogates, which UTF-8 has no bytes for
        return _encode(item if isinstance(item, Forgetting) else encodable(item))
