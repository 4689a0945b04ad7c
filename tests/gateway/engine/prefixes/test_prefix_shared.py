"""What several conversations use is there for all of them, stays the longest, and survives a restart."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mlx.core as mx
import pytest
from mlx.utils import tree_map
from mlx_lm.models import llama
from mlx_lm.models.cache import make_prompt_cache

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
    turn,
)


@pytest.fixture
def open_shelf(tmp_path: Path) -> Iterator[Callable[..., Shelf]]:
    with shelves(tmp_path) as open_one:
        yield open_one


@pytest.mark.parametrize("make", [plain, hybrid])
def test_a_shared_prefix_survives_a_restart(
    open_shelf: Callable[..., Shelf], make: Callable[[list[int]], list[Any]]
) -> None:
    before = open_shelf()
    engine = engine_of(before, make)
    cached = [turn(engine, conversation, make=make) for conversation in ("first", "second", "third")]
    assert cached[1:] == [len(SYSTEM)] * 2
    engine.close()
    engine = engine_of(open_shelf(), make)
    assert engine.match(None, [*SYSTEM, 1]) == len(SYSTEM)
    assert engine.nbytes == 0  # read when it is needed
    assert turn(engine, "fourth", make=make) == len(SYSTEM)
    engine.trim_to(0)
    caches, length = engine.fetch(None, [*SYSTEM, 5])
    assert length == len(SYSTEM)
    assert caches is not None
    if make is plain:
        assert_same(cut(caches), cut(plain(SYSTEM)))
    stats = engine.stats()
    assert stats.shelf is not None
    assert (stats.shelf.loaded, stats.shelf.files, stats.shelf.written) == (2, 1, 0)


@pytest.mark.parametrize("dtype", [mx.float32, mx.bfloat16])
def test_a_model_goes_on_from_the_file_as_if_it_had_computed_it_all(
    open_shelf: Callable[..., Shelf], dtype: mx.Dtype
) -> None:
    config = {
        "model_type": "llama",
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "intermediate_size": 64,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "rms_norm_eps": 1e-5,
        "vocab_size": 200,
    }
    mx.random.seed(5)
    model = llama.Model(llama.ModelArgs.from_dict(config))
    model.update(tree_map(lambda a: (mx.random.normal(a.shape) * 0.3).astype(dtype), model.parameters()))

    def computed(tokens: list[int], caches: list[Any]) -> list[Any]:
        model(mx.array([tokens]), cache=caches)
        mx.eval([cache.state for cache in caches])
        return caches

    def answer(caches: list[Any]) -> list[int]:
        tokens = [3]
        for _ in range(12):
            tokens.append(int(mx.argmax(model(mx.array([tokens[-1:]]), cache=caches)[0, -1])))
        return tokens

    def fresh(tokens: list[int]) -> list[Any]:
        return computed(tokens, make_prompt_cache(model))

    engine = engine_of(open_shelf(), fresh)
    for conversation in ("one", "two"):
        turn(engine, conversation, make=fresh)
    engine.close()
    caches, cached = engine_of(open_shelf(), fresh).fetch(None, [*SYSTEM, 5, 6, 7])
    assert cached == len(SYSTEM)
    assert caches is not None
    assert answer(computed([5, 6, 7], caches)) == answer(computed([5, 6, 7], fresh(SYSTEM)))


def test_only_what_several_conversations_used_is_written_and_once(
    open_shelf: Callable[..., Shelf], tmp_path: Path
) -> None:
    shelf = open_shelf()
    engine = engine_of(shelf)
    for conversation in ("one", "one", ""):
        turn(engine, conversation)
    shelf.flush()
    assert files(tmp_path) == []
    for conversation in ("two", "three", "one"):
        turn(engine, conversation)
    shelf.flush()
    assert len(files(tmp_path)) == 1
    assert shelf.stats().written == 1


def test_what_is_being_written_is_not_asked_for_again(open_shelf: Callable[..., Shelf]) -> None:
    shelf = open_shelf()

    def caches() -> list[Any]:
        shelf.put(None, SYSTEM, lambda: pytest.fail("it is on its way"))
        return plain(SYSTEM)

    shelf.put(None, SYSTEM, caches)
    shelf.flush()
    assert shelf.stats().written == 1


def test_a_slow_disk_does_not_fill_the_memory(open_shelf: Callable[..., Shelf]) -> None:
    shelf = open_shelf()
    asked: list[int] = []

    def nested(n: int) -> list[Any]:
        """Puts the next one while this is not written yet."""
        asked.append(n)
        if n < 10:
            shelf.put(None, [n + 1], lambda: nested(n + 1))
        return plain([n])

    shelf.put(None, [0], lambda: nested(0))
    shelf.flush()
    assert asked == [0, 1, 2, 3]
    put(shelf, [9])
    assert shelf.stats().written == 5


@pytest.mark.parametrize("restarted", [False, True])
def test_a_shared_prefix_stays_when_memory_is_short(open_shelf: Callable[..., Shelf], restarted: bool) -> None:
    shelf = open_shelf()
    engine = engine_of(shelf)
    turn(engine, "one")
    turn(engine, "two")
    shelf.flush()
    shelf = open_shelf()
    if restarted:
        engine = engine_of(shelf)
        engine.fetch(None, SYSTEM)
    engine.trim_to(len(SYSTEM) * 2 * 2 * 4 * 4)
    for n in range(3):
        other = [n + 7] * 30
        engine.keep(None, other, plain(other))
        engine.trim_to(len(SYSTEM) * 2 * 2 * 4 * 4)
    assert engine.match(None, other) == 0
    assert engine._memory.match(None, SYSTEM) == len(SYSTEM)


def test_what_a_private_job_brings_is_never_written(open_shelf: Callable[..., Shelf], tmp_path: Path) -> None:
    shelf = open_shelf()
    engine = engine_of(shelf)
    for conversation in ("one", "two", "three"):
        turn(engine, conversation, private=True)
    turn(engine, "four")  # the only one that counts
    shelf.flush()
    assert list((tmp_path / "prefixes").iterdir()) == []
