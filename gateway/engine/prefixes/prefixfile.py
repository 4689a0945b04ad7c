"""The file of one kept prefix: caches to bytes and back.

Owns the format: a safetensors file (8 bytes of header length, a JSON header, the arrays' bytes) that any tool can
open. What is believed when it is read back is the card in its metadata, once the digest over card and data agrees.
Knows nothing of folders.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from math import prod
from typing import Annotated, Any

import mlx.core as mx
import msgspec
import numpy as np
from mlx_lm.models.cache import ArraysCache, CacheList, ChunkedKVCache, KVCache, RotatingKVCache
from numpy.typing import NDArray

from gateway.engine.prefixes.snapshots import trimmed

_FORMAT = 1
_MOST_HEADER = 64 << 20  # bytes: a card is its tokens, and no context is that long

_KINDS: dict[str, Any] = {c.__name__: c for c in (KVCache, RotatingKVCache, ChunkedKVCache, ArraysCache)}
# MLX's types as safetensors names them, and what numpy, which knows no bfloat16, holds them as
_TYPES: dict[mx.Dtype, tuple[str, type[np.generic]]] = {
    mx.float32: ("F32", np.float32),
    mx.float16: ("F16", np.float16),
    mx.bfloat16: ("BF16", np.uint16),
    mx.int32: ("I32", np.int32),
    mx.uint32: ("U32", np.uint32),
    mx.uint8: ("U8", np.uint8),
}
_BY_NAME = {name: (dtype, held) for dtype, (name, held) in _TYPES.items()}


_Count = Annotated[int, msgspec.Meta(ge=0, lt=1 << 31)]


class Unpackable(Exception):
    """These caches cannot be written to a file."""


class Damaged(Exception):
    """This is not, or not any more, the file of a prefix."""


class _Array(msgspec.Struct, frozen=True, array_like=True):
    type: str
    shape: tuple[_Count, ...]


class Card(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a file says of itself. `caches` are the cache objects, with arrays by number; `sha256` is over the rest."""

    format: int
    mlx: str
    model: str
    adapter: str | None
    tokens: list[_Count]
    caches: list[Any]
    arrays: list[_Array]
    sha256: str = ""

    @property
    def current(self) -> bool:
        """Whether this version of the program can use the file."""
        return (self.format, self.mlx) == (_FORMAT, version("mlx"))


@dataclass(frozen=True)
class Packed:
    """Caches as plain memory, which any thread may write out: no MLX is needed for that."""

    card: Card
    data: list[NDArray[Any]]


def pack(model: str, adapter: str | None, tokens: list[int], caches: list[Any]) -> Packed:
    """Copy caches that hold exactly these tokens out of MLX. Raises Unpackable for a kind or type not known here."""
    arrays: list[mx.array] = []
    described = [_described(trimmed(cache), arrays) for cache in caches]
    data = [_plain(array) for array in arrays]
    table = [_Array(_type_of(array), array.shape) for array in arrays]
    return Packed(Card(_FORMAT, version("mlx"), model, adapter, tokens, described, table), data)


def encode(packed: Packed) -> list[bytes | memoryview]:
    """The bytes of the file, piece by piece. Needs no MLX."""
    pieces = [array.reshape(-1).view(np.uint8).data for array in packed.data]
    card = msgspec.structs.replace(packed.card, sha256=_sha256(packed.card, pieces))
    table: dict[str, Any] = {"__metadata__": {"nightschool": msgspec.json.encode(card).decode()}}
    start = 0
    for i, (array, piece) in enumerate(zip(card.arrays, pieces, strict=True)):
        table[f"{i:04}"] = {"dtype": array.type, "shape": array.shape, "data_offsets": [start, start + len(piece)]}
        start += len(piece)
    header = msgspec.json.encode(table)
    header += b" " * (-len(header) % 8)
    return [len(header).to_bytes(8, "little"), header, *pieces]


def header_end(beginning: bytes) -> int:
    """How many bytes card and all take, from the first eight. Raises Damaged."""
    length = int.from_bytes(beginning[:8], "little")
    if len(beginning) < 8 or length > _MOST_HEADER:
        raise Damaged("it does not begin like a safetensors file")
    return 8 + length


def read_card(beginning: bytes) -> Card:
    """The card, from the file's first `header_end` bytes; nothing in it is verified yet. Raises Damaged."""
    end = header_end(beginning)
    try:
        if len(beginning) < end:
            raise Damaged("it is cut short")
        header = msgspec.json.decode(beginning[8:end], type=_Header)
        return msgspec.json.decode(header.metadata["nightschool"], type=Card)
    except (KeyError, ValueError, RecursionError, msgspec.MsgspecError) as error:
        raise Damaged(f"its header is not understood: {error}") from error


def unpack(content: bytes) -> tuple[Card, list[Any]]:
    """Card and caches of a whole file, verified and computed. Raises Damaged with what is wrong."""
    card = read_card(content[: header_end(content)])
    data = memoryview(content)[header_end(content) :]
    if not card.current:
        raise Damaged("it is of another version")
    if card.sha256 != _sha256(card, [data]):
        raise Damaged("its digest does not agree")
    try:
        arrays = list(_arrays(card, data))
        caches = [_restored(cache, arrays) for cache in card.caches]
        _check(caches, len(card.tokens))
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError, RecursionError) as error:
        raise Damaged(f"its caches are not understood: {error}") from error
    mx.eval(arrays)
    return card, caches


class _Header(msgspec.Struct, frozen=True):
    metadata: dict[str, str] = msgspec.field(name="__metadata__")


def _described(value: Any, arrays: list[mx.array]) -> Any:
    """A cache, or what is in its state, as JSON; its arrays are appended to `arrays`."""
    if isinstance(value, mx.array):
        arrays.append(value)
        return {"array": len(arrays) - 1}
    if isinstance(value, list | tuple):
        return [_described(part, arrays) for part in value]
    if isinstance(value, CacheList):
        return {"kind": "CacheList", "caches": [_described(part, arrays) for part in value.caches]}
    if type(value).__name__ in _KINDS:
        return {"kind": type(value).__name__, "state": _described(value.state, arrays)}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise Unpackable(f"no file can hold a {type(value).__name__}")


def _restored(value: Any, arrays: list[mx.array]) -> Any:
    if isinstance(value, list):
        return [_restored(part, arrays) for part in value]
    if not isinstance(value, dict):
        return value
    if "array" in value:
        return arrays[value["array"]]
    if value["kind"] == "CacheList":
        return CacheList(*(_restored(part, arrays) for part in value["caches"]))
    return _KINDS[value["kind"]].from_state(_restored(value["state"], arrays))


def _check(caches: list[Any], tokens: int) -> None:
    """Whether each cache says it has seen so many tokens, and a plain one holds them."""
    for cache in caches:
        if isinstance(cache, CacheList):
            _check(list(cache.caches), tokens)
            continue
        if getattr(cache, "offset", tokens) != tokens:
            raise ValueError(f"a cache holds {cache.offset} tokens, not {tokens}")
        if type(cache) is KVCache:
            _check_plain(cache)


def _check_plain(cache: Any) -> None:
    for array in (cache.keys, cache.values):
        if array.ndim != 4 or array.shape[:3] != (1, cache.keys.shape[1], cache.offset):
            raise ValueError(f"keys or values of shape {array.shape}")


def _arrays(card: Card, data: memoryview) -> Iterator[mx.array]:
    start = 0
    for array in card.arrays:
        dtype, held = _BY_NAME[array.type]
        plain = np.frombuffer(data, held, prod(array.shape), start).reshape(array.shape)
        yield mx.array(plain).view(dtype)
        start += plain.nbytes
    if start != len(data):
        raise ValueError("arrays and data differ in size")


def _type_of(array: mx.array) -> str:
    if array.dtype not in _TYPES:
        raise Unpackable(f"no file can hold {array.dtype}")
    return _TYPES[array.dtype][0]


def _plain(array: mx.array) -> NDArray[Any]:
    _type_of(array)
    return np.array(array.view(mx.uint16) if array.dtype == mx.bfloat16 else array, order="C")


def _sha256(card: Card, data: list[memoryview]) -> str:
    digest = hashlib.sha256(msgspec.json.encode(msgspec.structs.replace(card, sha256="")))
    for piece in data:
        digest.update(piece)
    return digest.hexdigest()
