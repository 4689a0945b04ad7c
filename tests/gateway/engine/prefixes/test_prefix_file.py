"""The file of a prefix: it comes back as it was, and none is believed that is not whole and of this model."""

from __future__ import annotations

import dataclasses
import json
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mlx.core as mx
import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mlx.utils import tree_flatten
from mlx_lm.models.cache import QuantizedKVCache
from structlog.testing import capture_logs

from gateway.engine.prefixes.prefixfile import Damaged, encode, pack, unpack
from gateway.engine.prefixes.shelf import Shelf
from tests.gateway.engine.prefixes.prefixes import (
    SYSTEM,
    assert_same,
    cut,
    engine_of,
    files,
    hybrid,
    plain,
    put,
    shelves,
)


@pytest.fixture
def open_shelf(tmp_path: Path) -> Iterator[Callable[..., Shelf]]:
    with shelves(tmp_path) as open_one:
        yield open_one


def test_only_the_owner_can_read_and_other_tools_can_open_it(open_shelf: Callable[..., Shelf], tmp_path: Path) -> None:
    folder = tmp_path / "prefixes"
    folder.mkdir(mode=0o755)
    put(open_shelf(), SYSTEM)
    [file] = files(tmp_path)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    arrays = mx.load(str(file))
    assert isinstance(arrays, dict)
    assert len(arrays) == 4
    assert np.array_equal(np.array(arrays["0000"]), np.array(cut(plain(SYSTEM))[0].keys))


@pytest.mark.parametrize("make", [plain, hybrid])
@pytest.mark.parametrize("dtype", [mx.float32, mx.float16, mx.bfloat16])
def test_any_type_and_kind_comes_back_as_it_was(make: Callable[..., list[Any]], dtype: mx.Dtype) -> None:
    tokens = list(range(20))
    packed = pack("model", "adapter", tokens, make(tokens, dtype))
    card, caches = unpack(b"".join(encode(packed)))
    assert (card.adapter, card.tokens) == ("adapter", tokens)
    assert_same(caches, cut(make(tokens, dtype)))
    assert {a.dtype for _, a in tree_flatten([c.state for c in caches]) if isinstance(a, mx.array)} >= {dtype}


def test_a_kind_that_no_file_can_hold_stays_in_memory(open_shelf: Callable[..., Shelf], tmp_path: Path) -> None:
    shelf = open_shelf()
    for odd in (QuantizedKVCache(), plain([1, 2], mx.complex64)[0]):
        with capture_logs() as logs:
            shelf.put(None, [1, 2], lambda odd=odd: [odd])  # type: ignore[misc]
            shelf.flush()
        assert [log["event"] for log in logs] == ["prefix not kept on disk"]
    shelf.put(None, [1, 2], lambda: None)
    shelf.flush()
    assert files(tmp_path) == []
    put(shelf, [1, 2])  # the name is not taken
    assert len(files(tmp_path)) == 1


def _with_card(content: bytes, **changes: Any) -> bytes:
    """The file with another card, and a header that fits."""
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    card = json.loads(header["__metadata__"]["nightschool"]) | changes
    header["__metadata__"]["nightschool"] = json.dumps(card)
    changed = json.dumps(header).encode()
    return len(changed).to_bytes(8, "little") + changed + content[8 + length :]


_DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda content: b"",
    "eight bytes": lambda content: content[:8],
    "header cut": lambda content: content[:200],
    "data cut": lambda content: content[:-5],
    "data longer": lambda content: content + b"\0",
    "last bit": lambda content: content[:-1] + bytes([content[-1] ^ 1]),
    "endless header": lambda content: b"\xff" * 8 + content[8:],
    "not JSON": lambda content: content[:8] + b"\xff" * (len(content) - 8),
    "deep JSON": lambda content: (200_000).to_bytes(8, "little") + b"[" * 200_000,
    "other tokens": lambda content: _with_card(content, tokens=[*SYSTEM[:-1], 7]),
    "huge tokens": lambda content: _with_card(content, tokens=[1 << 70]),
    "no tokens": lambda content: _with_card(content, tokens=[]),
    "other format": lambda content: _with_card(content, format=2),
    "other MLX": lambda content: _with_card(content, mlx="0.1"),
    "odd shape": lambda content: _with_card(content, arrays=[["F32", [-1]]] * 4),
    "unknown field": lambda content: _with_card(content, more=1),
}


@pytest.mark.parametrize("opened", ["before", "after"])
@pytest.mark.parametrize("damage", _DAMAGE.values(), ids=_DAMAGE.keys())
def test_a_damaged_file_is_deleted_with_a_word_and_never_used(
    open_shelf: Callable[..., Shelf], tmp_path: Path, damage: Callable[[bytes], bytes], opened: str
) -> None:
    """Whether it is damaged while an engine runs, or found damaged by one that starts."""
    first = open_shelf()
    put(first, SYSTEM)
    [file] = files(tmp_path)
    file.write_bytes(damage(file.read_bytes()))
    with capture_logs() as logs:
        shelf = open_shelf() if opened == "after" else first
        engine = engine_of(shelf)
        assert engine.fetch(None, [*SYSTEM, 1]) == (None, 0)
        assert engine.fetch(None, [*SYSTEM, 1]) == (None, 0)
    assert [(log["event"], log["log_level"]) for log in logs] == [("kept prefix deleted", "warning")]
    assert files(tmp_path) == []
    put(shelf, SYSTEM)  # and it can be put there anew
    assert shelf.match(None, SYSTEM) == len(SYSTEM)


def test_a_file_of_another_version_is_refused_even_if_it_is_whole() -> None:
    packed = pack("model", None, SYSTEM, plain(SYSTEM))
    for changes in ({"mlx": "0.1"}, {"format": 2}):
        card = msgspec.structs.replace(packed.card, **changes)
        with pytest.raises(Damaged, match="version"):
            unpack(b"".join(encode(dataclasses.replace(packed, card=card))))


_CONTENT = b"".join(encode(pack("model", None, SYSTEM[:6], plain(SYSTEM[:6]))))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, len(_CONTENT) - 1), st.binary(min_size=1, max_size=12), st.booleans())
def test_no_change_to_what_is_believed_goes_unnoticed(at: int, change: bytes, shorter: bool) -> None:
    changed = _CONTENT[:at] + change + (b"" if shorter else _CONTENT[at + len(change) :])
    try:
        card, caches = unpack(changed)
    except Damaged:
        return
    assert card.tokens == SYSTEM[:6]  # only safetensors' own table, which is not read, was hit
    assert_same(caches, cut(plain(SYSTEM[:6])))


def _forged(tokens: list[int], caches: list[Any]) -> bytes:
    return b"".join(encode(pack("model", None, tokens, caches)))


@pytest.mark.parametrize(
    ("caches", "told"),
    [
        (plain(SYSTEM[:-1]), "not understood"),
        (plain(SYSTEM, layers=3), "not this model's"),
        (plain(SYSTEM, mx.float16), "not this model's"),
        (hybrid(SYSTEM)[:2], "not this model's"),
        ([], "not this model's"),
    ],
    ids=["fewer tokens", "more layers", "other type", "other kinds", "nothing"],
)
def test_a_whole_file_that_does_not_fit_the_model_is_deleted(
    open_shelf: Callable[..., Shelf], tmp_path: Path, caches: list[Any], told: str
) -> None:
    shelf = open_shelf()
    put(shelf, SYSTEM)
    [file] = files(tmp_path)
    file.write_bytes(_forged(SYSTEM, caches))
    with capture_logs() as logs:
        assert engine_of(shelf).fetch(None, SYSTEM) == (None, 0)
    assert [log["reason"] for log in logs if told in log["reason"]]
    assert files(tmp_path) == []
