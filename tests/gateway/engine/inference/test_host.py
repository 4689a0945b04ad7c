"""Attention by numpy: of every conversation what MLX makes of it alone, however a pass is put together."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from distill.mlx import blas

blas.prepare(1)

import mlx.core as mx  # noqa: E402 - the BLAS comes first
import mlx.nn as nn  # noqa: E402
from mlx_lm.models.cache import KVCache  # noqa: E402

from gateway.engine.inference.host import Cores, HostCache, HostLayer  # noqa: E402
from gateway.engine.prefixes.tree import PrefixTree  # noqa: E402

CORES = Cores(2)
KV_HEADS, GROUP, WIDTH = 2, 3, 8
Passes = list[list[int]]


def random(*shape: int, seed: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(0, 1, shape).astype(np.float32)


def alone(conversation: int, tokens: int) -> tuple[NDArray[np.float32], ...]:
    """Queries, keys and values (heads, tokens, width) of a conversation, and MLX's attention over them."""
    q = random(KV_HEADS * GROUP, tokens, WIDTH, seed=3 * conversation)
    k, v = (random(KV_HEADS, tokens, WIDTH, seed=3 * conversation + i) for i in (1, 2))
    arrays = (mx.array(a)[None] for a in (q, k, v))
    attended = mx.fast.scaled_dot_product_attention(*arrays, scale=0.3, mask="causal")
    return q, k, v, np.array(attended)[0]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(st.integers(0, 90), min_size=3, max_size=3), min_size=1, max_size=4))
def test_every_conversation_is_attended_as_if_alone(passes: Passes) -> None:
    totals = [sum(counts) for counts in zip(*passes, strict=True)]
    wanted = [alone(i, total) for i, total in enumerate(totals)]
    caches, found = [HostCache() for _ in totals], [[] for _ in totals]
    for counts in passes:
        there = [i for i, count in enumerate(counts) if count]
        if not there:
            continue
        parts = [slice(caches[i].offset, caches[i].offset + counts[i]) for i in there]
        layer = HostLayer([caches[i] for i in there], [counts[i] for i in there], CORES)
        q, k, v = (
            mx.array(
                np.concatenate([wanted[i][which][:, part] for i, part in zip(there, parts, strict=True)], axis=1)
            ).swapaxes(0, 1)[:, :, None]
            for which in range(3)
        )
        layer.update_and_fetch(k, v)
        out, start = np.array(layer.attend(q, k, v, 0.3, None))[:, :, 0], 0
        for i in there:
            found[i].append(out[start : start + counts[i]].swapaxes(0, 1))
            start += counts[i]
    for (*_, expected), got in zip(wanted, found, strict=True):
        if got:
            np.testing.assert_allclose(np.concatenate(got, axis=1), expected, atol=2e-6)


def test_every_token_has_the_place_it_has_in_its_conversation() -> None:
    one, other = HostCache(), HostCache()
    one.offset, other.offset = 4, 0
    assert HostLayer([one, other], [1, 3], CORES).offset.tolist() == [4, 0, 1, 2]


def test_a_cache_of_mlx_goes_on_in_numpy() -> None:
    cache = KVCache()
    cache.update_and_fetch(mx.ones((1, 2, 5, 4)), mx.zeros((1, 2, 5, 4)))
    own = HostCache.of(cache)
    own.append(*(np.full((2, 600, 4), 7, np.float32) for _ in range(2)))
    assert own.keys is not None
    assert own.offset == 605
    assert mx.all(own.keys[..., :5, :] == 1).item()
    assert mx.all(own.keys[..., 5:605, :] == 7).item()


def test_what_the_prefix_tree_hands_out_can_be_written_to() -> None:
    tree, kept = PrefixTree(1 << 20), KVCache()
    kept.update_and_fetch(mx.ones((1, 2, 5, 4)), mx.zeros((1, 2, 5, 4)))
    tree.keep(None, [1, 2, 3, 4, 5], [kept])
    for length in (3, 5, 5):
        caches, known = tree.fetch(None, [1, 2, 3, 4, 5][:length])
        assert caches is not None
        assert known == length
        own = HostCache.of(caches[0])
        assert mx.all(own.keys[..., :length, :] == 1).item()
        own.offset = 0
        own.append(*(np.full((2, 5, 4), 7, np.float32) for _ in range(2)))


def test_what_it_does_not_know_is_refused() -> None:
    layer = HostLayer([HostCache()], [1], CORES)
    with pytest.raises(ValueError, match="everything before"):
        layer.make_mask(1, window_size=8)
    array = mx.zeros((1, 2, 1, 4))
    layer.update_and_fetch(array, array)
    with pytest.raises(ValueError, match="masks"):
        layer.attend(array, array, array, 1.0, mx.zeros((1, 1)))


@pytest.mark.parametrize("shape", [(3, 1, 7), (300, 1, 500)])
def test_swiglu_is_mlx_s(shape: tuple[int, ...]) -> None:
    gate, x = mx.array(random(*shape, seed=1) * 60), mx.array(random(*shape, seed=2))
    np.testing.assert_allclose(CORES.swiglu(gate, x), nn.silu(gate) * x, rtol=1e-5, atol=1e-6)


def test_an_error_in_a_piece_reaches_whoever_waits() -> None:
    def broken() -> None:
        raise RuntimeError("a piece broke")

    with pytest.raises(RuntimeError, match="a piece broke"):
        CORES.run([broken, broken, broken])
