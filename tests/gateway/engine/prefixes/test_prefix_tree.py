"""The prefix tree: exact to the token, never over its bytes, safe for two threads, cheap at thousands of nodes."""

from __future__ import annotations

import gc
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate

import mlx.core as mx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mlx_lm.models.cache import KVCache

from gateway.engine.prefixes.tree import PrefixTree

_LAYERS = 2
_TOKEN = _LAYERS * 2 * 3 * 4 * 4  # bytes: layers, keys and values, heads, width, float32


def _history(tokens: list[int]) -> list[float]:
    """A number per token that only its whole history gives, as a model's keys do."""
    return [float(x) for x in accumulate(tokens, lambda before, token: (before * 31 + token + 1) % 65_521, initial=7)][
        1:
    ]


def _caches(tokens: list[int], room: int = 0) -> list[KVCache]:
    """What a model would hold after these tokens; `room` more is allocated."""
    caches = []
    for layer in range(_LAYERS):
        cache = KVCache()
        run = mx.array([*_history(tokens), *[-1.0] * room])[None, None, :, None] + layer
        cache.keys = mx.broadcast_to(run, (1, 3, run.shape[2], 4)) * 1
        cache.values = -cache.keys
        cache.offset = len(tokens)
        caches.append(cache)
    return caches


def _assert_holds(caches: list[KVCache] | None, tokens: list[int]) -> None:
    for layer, cache in enumerate(caches or []):
        assert cache.offset == len(tokens)
        keys, values = cache.keys_and_values()
        expected = np.broadcast_to(np.array(_history(tokens))[None, None, :, None] + layer, (1, 3, len(tokens), 4))
        np.testing.assert_array_equal(np.array(keys), expected)
        np.testing.assert_array_equal(np.array(values), -expected)


def _kept(tree: PrefixTree, tokens: list[int], room: int = 0) -> None:
    tree.keep(None, tokens, _caches(tokens, room))


def _append(cache: KVCache, value: float, count: int = 1) -> None:
    more = mx.full((1, 3, count, 4), value)
    cache.update_and_fetch(more, more)


def test_the_longest_kept_prefix_is_found_and_is_exact() -> None:
    tree = PrefixTree(1 << 20)
    _kept(tree, [1, 2, 3, 4, 5])
    _kept(tree, [1, 2, 9, 9])
    for asked, found in (([1, 2, 3, 4, 5, 6], 5), ([1, 2, 9], 3), ([1, 2, 7], 2), ([2, 1], 0), ([], 0)):
        caches, length = tree.fetch(None, asked)
        assert length == tree.match(None, asked) == found
        assert (caches is None) == (found == 0)
        _assert_holds(caches, asked[:found])


def test_another_key_shares_nothing() -> None:
    tree = PrefixTree(1 << 20)
    _kept(tree, [1, 2, 3])
    assert tree.match("adapter", [1, 2, 3]) == 0
    tree.keep("adapter", [1, 2], _caches([1, 2]))
    tree.forget("adapter")
    assert tree.match("adapter", [1, 2]) == 0
    assert tree.match(None, [1, 2, 3]) == 3
    assert tree.nbytes == 3 * _TOKEN


def test_what_is_forgotten_or_given_up_leaves_memory_at_once() -> None:
    gc.collect()
    gc.disable()  # in a process with little garbage a collection may be hours away
    try:
        tree = PrefixTree(1 << 30)
        before = mx.get_active_memory()
        for last in range(4):  # the later ones split what the first one left
            tree.keep("adapter", [*range(20_000), last], _caches([*range(20_000), last]))
        assert tree.nbytes > 20_000 * _TOKEN
        assert mx.get_active_memory() - before >= tree.nbytes
        tree.forget("adapter")
        assert mx.get_active_memory() - before < 10 * _TOKEN
        _kept(tree, [*range(20_000)])
        _kept(tree, [*range(10_000), 0])
        tree.trim_to(0)
        assert mx.get_active_memory() - before < 10 * _TOKEN
    finally:
        gc.enable()


def test_only_what_is_new_takes_memory_and_room_for_growth_does_not() -> None:
    tree = PrefixTree(1 << 20)
    _kept(tree, list(range(900)), room=124)
    before = tree.nbytes
    _kept(tree, list(range(1100)), room=180)
    assert (before, tree.nbytes) == (900 * _TOKEN, 1100 * _TOKEN)
    _kept(tree, list(range(1000)), room=24)
    assert tree.nbytes == 1100 * _TOKEN
    assert tree.stats().entries == 2


def test_tokens_the_caches_do_not_hold_are_not_kept() -> None:
    tree = PrefixTree(1 << 20)
    tree.keep(None, [1, 2, 3, 4], _caches([1, 2, 3], room=5))
    assert tree.match(None, [1, 2, 3, 4]) == 3
    tree.keep(None, [7, 8], [KVCache() for _ in range(_LAYERS)])
    assert tree.match(None, [7, 8]) == 0


@pytest.mark.parametrize("appended", [1, 300])
def test_what_the_caller_writes_stays_with_the_caller(appended: int) -> None:
    tree = PrefixTree(1 << 20)
    tokens = list(range(256))  # a whole number of growth steps, whose arrays are handed on without a copy
    mine = _caches(tokens)
    tree.keep(None, tokens, mine)
    first, _ = tree.fetch(None, tokens)
    second = tree.whole(None, tokens)
    assert first is not None
    assert second is not None
    for cache in (*mine, *first, *second):
        cache.keys[..., :100, :] = 44.0
        mx.eval(cache.keys)
        _append(cache, 99.0, appended)
        cache.keys[..., :200, :] = 55.0
        cache.values *= 0
        mx.eval(cache.keys, cache.values)
        cache.trim(250)
        _append(cache, 77.0)
        mx.eval(cache.keys, cache.values)
    _assert_holds(tree.fetch(None, tokens)[0], tokens)
    _assert_holds(tree.whole(None, tokens), tokens)


def test_what_one_thread_was_handed_another_can_compute_with() -> None:
    tree = PrefixTree(1 << 20)
    tokens = list(range(30))

    def work() -> list[list[KVCache] | None]:
        with mx.stream(mx.new_thread_local_stream(mx.default_device())):
            _kept(tree, tokens[:20], room=5)
            _kept(tree, tokens, room=5)
            found = [tree.fetch(None, tokens)[0], tree.whole(None, tokens), tree.whole(None, tokens[:10])]
        mx.clear_streams()
        return found

    with ThreadPoolExecutor(1) as pool:
        found = pool.submit(work).result()
    for caches, length in zip(found, (30, 30, 10), strict=True):
        _assert_holds(caches, tokens[:length])


def test_the_rest_of_the_prompt_is_written_into_the_room_that_was_left() -> None:
    tree = PrefixTree(1 << 20)
    _kept(tree, list(range(300)))
    caches, _ = tree.fetch(None, list(range(700)))
    assert caches is not None
    assert all(cache.keys.shape[2] == 768 for cache in caches)
    for cache in caches:
        _append(cache, 5.0, 401)
        assert cache.keys.shape[2] == 768


def test_the_least_recently_used_leaf_goes_first() -> None:
    tree = PrefixTree(9 * _TOKEN)
    _kept(tree, [1, 1, 1])
    _kept(tree, [2, 2, 2])
    _kept(tree, [3, 3, 3])
    tree.fetch(None, [1, 1, 1])
    _kept(tree, [4, 4])
    assert [tree.match(None, [n] * 3) for n in (1, 2, 3, 4)] == [3, 0, 3, 2]
    assert tree.stats().evictions == 1


def test_what_several_share_outlives_what_was_used_later_up_to_half_the_bytes() -> None:
    tree = PrefixTree(12 * _TOKEN)
    _kept(tree, [1, 1, 1])
    tree.protect(None, [1, 1, 1])
    for n in range(2, 20):
        _kept(tree, [n] * 3)
    assert tree.match(None, [1, 1, 1]) == 3
    for n in range(20, 25):
        _kept(tree, [n] * 3)
        tree.protect(None, [n] * 3)
    assert tree.match(None, [1, 1, 1]) == 0
    for n in range(30, 35):  # protected ones have not taken everything: new ones come in
        _kept(tree, [n] * 3)
        assert tree.match(None, [n] * 3) == 3


def test_a_protected_prefix_stays_protected_when_it_is_split() -> None:
    tree = PrefixTree(12 * _TOKEN)
    _kept(tree, [1, 1, 1, 1])
    tree.protect(None, [1, 1, 1, 1])
    _kept(tree, [1, 1, 5])
    for n in range(2, 20):
        _kept(tree, [n] * 3)
    assert tree.match(None, [1, 1, 1, 1]) == 4
    assert tree.match(None, [1, 1, 5]) == 2


def test_what_is_larger_than_the_limit_drives_nothing_out() -> None:
    tree = PrefixTree(5 * _TOKEN)
    _kept(tree, [1, 2, 3])
    _kept(tree, list(range(10, 20)))
    assert tree.match(None, [1, 2, 3]) == 3
    assert PrefixTree(0).fetch(None, [1])[1] == 0
    nothing = PrefixTree(0)
    _kept(nothing, [1])
    assert nothing.nbytes == 0


def test_memory_is_given_back() -> None:
    tree = PrefixTree(1 << 20)
    for n in range(10):
        _kept(tree, [n] * 3)
    assert tree.trim_to(6 * _TOKEN) == 24 * _TOKEN
    assert tree.nbytes == 6 * _TOKEN
    assert tree.trim_to(6 * _TOKEN) == 0
    assert tree.trim_to(0) == 6 * _TOKEN
    assert tree.stats().entries == 0


def test_a_split_lets_the_old_arrays_go() -> None:
    tree = PrefixTree(1 << 30)
    tokens = list(range(40_000))
    _kept(tree, tokens)
    _kept(tree, [*tokens[:20_000], -1])
    tree.fetch(None, [*tokens[:20_000], -1])
    mx.clear_cache()
    before = mx.get_active_memory()
    freed = tree.trim_to(tree.nbytes - 1)
    assert freed == 20_000 * _TOKEN
    assert before - mx.get_active_memory() >= 0.95 * freed


def test_hits_and_misses_are_counted() -> None:
    tree = PrefixTree(1 << 20)
    tree.fetch(None, [1, 2])
    _kept(tree, [1, 2])
    tree.fetch(None, [1, 2, 3])
    tree.whole(None, [1, 2])
    stats = tree.stats()
    assert (stats.hits, stats.misses, stats.hit_tokens, stats.entries, stats.nbytes) == (1, 1, 2, 1, 2 * _TOKEN)
    assert tree.whole(None, [1, 2, 3]) is None


_RUN = st.lists(st.integers(0, 2), max_size=12)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["keep", "fetch", "protect", "trim", "forget"]), _RUN), max_size=25))
def test_whatever_is_done_what_is_handed_out_is_right_and_bytes_are_bounded(steps: list[tuple[str, list[int]]]) -> None:
    tree = PrefixTree(30 * _TOKEN)
    seen: set[tuple[int, ...]] = set()
    for what, tokens in steps:
        match what:
            case "keep":
                _kept(tree, tokens, room=3)
                seen.update(tuple(tokens[:n]) for n in range(1, len(tokens) + 1))
                assert tree.match(None, tokens) == len(tokens)
            case "protect":
                tree.protect(None, tokens)
            case "trim":
                tree.trim_to(len(tokens) * _TOKEN)
                assert tree.nbytes <= len(tokens) * _TOKEN
            case "forget":
                tree.forget(None)
                assert tree.nbytes == 0
        caches, length = tree.fetch(None, tokens)
        assert length == 0 or tuple(tokens[:length]) in seen
        _assert_holds(caches, tokens[:length])
        assert tree.nbytes <= 30 * _TOKEN
    tree.trim_to(0)
    assert (tree.nbytes, tree.stats().entries) == (0, 0)


def test_two_threads_with_streams_of_their_own() -> None:
    tree = PrefixTree(400 * _TOKEN)
    ready = threading.Barrier(2)

    def work(seed: int) -> None:
        chooser = np.random.default_rng(seed)
        with mx.stream(mx.new_thread_local_stream(mx.default_device())):
            ready.wait()
            for _ in range(150):
                tokens = [*range(40), *(int(n) for n in chooser.integers(0, 2, 25))]
                caches, length = tree.fetch(None, tokens)
                _assert_holds(caches, tokens[:length])
                for cache in caches or []:
                    _append(cache, 3.0, 5)
                tree.keep(None, tokens, _caches(tokens, room=7))
                if chooser.random() < 0.1:
                    tree.protect(None, tokens[:40])
                    tree.trim_to(200 * _TOKEN)
        mx.clear_streams()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(work, (1, 2)))
    assert tree.nbytes <= 400 * _TOKEN
    tree.trim_to(0)
    assert (tree.nbytes, tree.stats().entries) == (0, 0)


def _seconds_to_keep(tree: PrefixTree, tokens: list[int]) -> float:
    caches = _caches(tokens)
    mx.eval([(cache.keys, cache.values) for cache in caches])
    began = time.perf_counter()
    tree.keep(None, tokens, caches)
    return time.perf_counter() - began


def test_an_eviction_costs_the_same_among_thousands_of_nodes() -> None:
    trees = [PrefixTree(entries * 2 * _TOKEN) for entries in (50, 5_000)]
    for tree, entries in zip(trees, (50, 5_000), strict=True):
        for n in range(entries):
            _kept(tree, [n, 1])
    times = [[_seconds_to_keep(tree, [n, 1]) for tree in trees] for n in range(10_000, 10_300)]
    few, many = (sorted(column)[150] for column in zip(*times, strict=True))
    assert [tree.stats().evictions for tree in trees] == [300, 300]
    assert many < 3 * few  # a look at every node would be some 20 times as long
