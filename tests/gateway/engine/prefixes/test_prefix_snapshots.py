"""Snapshots, on tiny random models of the kinds whose caches cannot be cut: what is new is computed, and no more."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import mlx.core as mx
import numpy as np
import pytest
from mlx.utils import tree_flatten, tree_map
from mlx_lm.models import falcon_h1, gemma3_text, lfm2, llama, llama4, mamba2, qwen3_next
from mlx_lm.models.cache import ArraysCache, RotatingKVCache, make_prompt_cache

from gateway.engine.prefixes.prefix import PrefixCache, prefix_cache
from gateway.engine.prefixes.snapshots import Snapshots
from gateway.engine.prefixes.tree import PrefixTree

_VOCABULARY = 96
_SIZES = {
    "vocab_size": _VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 512,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10_000.0,
}


def _falcon_h1() -> Any:
    mamba = {"mamba_d_ssm": 32, "mamba_d_head": 8, "mamba_n_heads": 4, "mamba_d_state": 8, "mamba_chunk_size": 16}
    return falcon_h1.Model(falcon_h1.ModelArgs.from_dict({**_SIZES, **mamba, "num_hidden_layers": 2}))


def _qwen3_next() -> Any:
    linear = {
        "linear_num_value_heads": 4,
        "linear_num_key_heads": 2,
        "linear_key_head_dim": 8,
        "linear_value_head_dim": 8,
        "linear_conv_kernel_dim": 4,
        "partial_rotary_factor": 0.5,
        "full_attention_interval": 2,
    }
    experts = {
        "num_experts": 2,
        "num_experts_per_tok": 1,
        "decoder_sparse_step": 2,
        "shared_expert_intermediate_size": 32,
        "mlp_only_layers": [],
        "moe_intermediate_size": 32,
    }
    config = {**_SIZES, **linear, **experts, "model_type": "qwen3_next", "num_hidden_layers": 4}
    return qwen3_next.Model(qwen3_next.ModelArgs.from_dict(config))


def _gemma3() -> Any:
    windows = {"sliding_window": 16, "sliding_window_pattern": 2, "query_pre_attn_scalar": 8}
    config = {**_SIZES, **windows, "model_type": "gemma3_text", "num_hidden_layers": 4}
    return gemma3_text.Model(gemma3_text.ModelArgs.from_dict(config))


def _mamba2() -> Any:
    config = {
        **_SIZES,
        "model_type": "mamba2",
        "num_hidden_layers": 2,
        "num_heads": 4,
        "head_dim": 16,
        "state_size": 8,
        "layer_norm_epsilon": 1e-5,
        "conv_kernel": 4,
        "n_groups": 1,
        "use_bias": False,
        "use_conv_bias": True,
        "tie_word_embeddings": True,
        "time_step_limit": (0.0, float("inf")),
        "time_step_rank": "auto",
        "intermediate_size": 64,
    }
    return mamba2.Model(mamba2.ModelArgs.from_dict(config))


def _lfm2() -> Any:
    config = {
        **_SIZES,
        "model_type": "lfm2",
        "num_hidden_layers": 4,
        "norm_eps": 1e-5,
        "conv_bias": False,
        "conv_L_cache": 3,
        "block_dim": 32,
        "block_multiple_of": 8,
        "block_ffn_dim_multiplier": 1.0,
        "block_auto_adjust_ff_dim": False,
        "block_ff_dim": 64,
        "full_attn_idxs": [1, 3],
    }
    return lfm2.Model(lfm2.ModelArgs.from_dict(config))


def _llama4() -> Any:
    text = {
        **_SIZES,
        "model_type": "llama4_text",
        "attention_bias": False,
        "attention_chunk_size": 24,
        "interleave_moe_layer_step": 2,
        "intermediate_size_mlp": 64,
        "num_experts_per_tok": 1,
        "num_hidden_layers": 4,
        "num_local_experts": 2,
        "rope_scaling": None,
        "use_qk_norm": False,
    }
    return llama4.Model(llama4.ModelArgs.from_dict({"model_type": "llama4", "text_config": text}))


_MODELS = (_falcon_h1, _qwen3_next, _gemma3, _mamba2, _lfm2, _llama4)


@pytest.fixture(scope="module", params=_MODELS, ids=lambda make: make.__name__.strip("_"))
def model(request: pytest.FixtureRequest) -> Any:
    mx.random.seed(3)
    made = request.param()
    made.update(tree_map(lambda a: mx.random.normal(a.shape) * 0.25 if a.ndim > 1 else a, made.parameters()))
    made.eval()
    mx.eval(made.parameters())
    return made


def _run(model: Any, caches: list[Any], tokens: list[int]) -> mx.array:
    logits = model(mx.array([tokens]), cache=caches)[0, -1]
    mx.eval(logits, [cache.state for cache in caches])
    return logits


def _answer(model: Any, caches: list[Any], last: int, count: int) -> tuple[list[int], list[mx.array]]:
    """Greedy tokens after a prompt whose last token is not computed yet; all but the last of them are, then."""
    tokens, logits = [last], []
    for _ in range(count):
        logits.append(_run(model, caches, tokens[-1:]))
        tokens.append(int(mx.argmax(logits[-1])))
    return tokens[1:], logits


class _Engine:
    """What the engine does with a prefix cache: keep after the shared prefix, the prompt, and the answer."""

    def __init__(self, model: Any, kept: PrefixCache) -> None:
        self.model, self.kept = model, kept

    def turn(self, prompt: list[int], shared: int, count: int) -> tuple[list[int], list[mx.array], int]:
        """The answer, its logits and how many of the prompt's tokens were computed."""
        caches, cached = self.kept.fetch(None, prompt[:-1])
        caches = caches or make_prompt_cache(self.model)
        done = cached
        for end in (shared, len(prompt) - 1):
            if done < end:
                _run(self.model, caches, prompt[done:end])
                self.kept.keep(None, prompt[:end], caches)
                done = end
        tokens, logits = _answer(self.model, caches, prompt[-1], count)
        self.kept.keep(None, [*prompt, *tokens[:-1]], caches)
        return tokens, logits, len(prompt) - cached


def _prompt(seed: int, length: int) -> list[int]:
    return [int(n) for n in np.random.default_rng(seed).integers(0, _VOCABULARY, length)]


def test_a_turn_computes_what_is_new_and_answers_as_if_all_were(model: Any) -> None:
    kept = prefix_cache(make_prompt_cache(model), 1 << 28)
    assert isinstance(kept._memory, Snapshots)
    engine = _Engine(model, kept)
    prompt = shared = _prompt(1, 40)
    prompt = [*shared, *_prompt(2, 12)]
    expected_new = len(prompt)
    for turn in range(4):
        answer, logits, computed = engine.turn(prompt, len(shared), 6)
        assert computed == expected_new
        fresh = make_prompt_cache(model)
        _run(model, fresh, prompt[:-1])
        fresh_answer, fresh_logits = _answer(model, fresh, prompt[-1], 6)
        for ours, theirs in zip(logits, fresh_logits, strict=True):
            np.testing.assert_allclose(np.array(ours), np.array(theirs), atol=2e-3, rtol=1e-3)
        assert answer == fresh_answer
        result = _prompt(10 + turn, 15)  # what the tool the model called has said
        prompt = [*prompt, *answer, *result]
        expected_new = 1 + len(result)  # the answer's last token was never fed back
    other, _, computed = engine.turn([*shared, *_prompt(3, 20)], len(shared), 3)
    assert len(other) == 3
    assert computed == 20


def test_the_same_prompt_again_gives_the_same_answer_and_costs_one_token(model: Any) -> None:
    engine = _Engine(model, prefix_cache(make_prompt_cache(model), 1 << 28))
    prompt = _prompt(5, 50)
    first, _, _ = engine.turn(prompt, 30, 5)
    for _ in range(2):
        again, _, computed = engine.turn(prompt, 30, 5)
        assert again == first
        assert computed == 1


def _values(caches: list[Any]) -> list[Any]:
    leaves = [leaf for _, leaf in tree_flatten([cache.state for cache in caches])]
    return [np.array(leaf) if isinstance(leaf, mx.array) else leaf for leaf in leaves]


def _same(one: list[Any], other: list[Any]) -> bool:
    return len(one) == len(other) and all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def _overwrite(caches: list[Any]) -> None:
    for _, array in tree_flatten([cache.state for cache in caches]):
        if isinstance(array, mx.array) and array.size:
            array[...] = 0
            mx.eval(array)


def test_what_the_caller_computes_on_stays_with_the_caller(model: Any) -> None:
    kept = Snapshots(1 << 28)
    prompt = _prompt(6, 45)
    mine = make_prompt_cache(model)
    _run(model, mine, prompt)
    kept.keep(None, prompt, mine)
    handed, _ = kept.fetch(None, prompt)
    whole = kept.whole(None, prompt)
    assert handed is not None
    assert whole is not None
    before = copy.deepcopy(_values(handed))
    for caches in (mine, handed, whole):
        _overwrite(caches)
        for token in range(40):  # more than any of the windows
            _run(model, caches, [token])
        _run(model, caches, _prompt(7, 10))
        _overwrite(caches)
    again = kept.whole(None, prompt)
    assert again is not None
    assert _same(_values(again), before)


def test_a_snapshot_holds_what_it_says_and_no_room_for_growth(model: Any) -> None:
    kept = Snapshots(1 << 28)
    prompt = _prompt(8, 20)
    caches = make_prompt_cache(model)
    _run(model, caches, prompt[:10])
    for token in prompt[10:]:
        _run(model, caches, [token])
    kept.keep(None, prompt, caches)
    snapshot = kept.whole(None, prompt)
    assert snapshot is not None
    arrays = [a for _, a in tree_flatten([c.state for c in snapshot]) if isinstance(a, mx.array)]
    assert kept.nbytes == sum(a.nbytes for a in arrays)
    assert all(256 not in a.shape for a in arrays)


def test_two_threads_with_streams_of_their_own(model: Any) -> None:
    kept = Snapshots(1 << 28)
    prompts = [_prompt(seed, 30) for seed in range(3)]
    expected = {}
    for prompt in prompts:
        caches = make_prompt_cache(model)
        _run(model, caches, prompt)
        expected[tuple(prompt)] = _values(caches)[0]
    ready = threading.Barrier(2)

    def work(_: int) -> None:
        with mx.stream(mx.new_thread_local_stream(mx.default_device())):
            ready.wait()
            for turn in range(6):
                prompt = prompts[turn % 3]
                caches, length = kept.fetch(None, prompt)
                assert length in (0, 30)
                if caches is None:
                    caches = make_prompt_cache(model)
                    _run(model, caches, prompt)
                    kept.keep(None, prompt, caches)
                shown = _values(caches)[0]
                np.testing.assert_array_equal(shown, expected[tuple(prompt)][tuple(map(slice, shown.shape))])
                _run(model, caches, [turn])
        mx.clear_streams()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(work, range(2)))


def test_what_one_thread_was_handed_another_can_compute_with(model: Any) -> None:
    kept = Snapshots(1 << 28)
    prompt = _prompt(6, 20)

    def work() -> tuple[list[Any] | None, int]:
        with mx.stream(mx.new_thread_local_stream(mx.default_device())):
            caches = make_prompt_cache(model)
            model(mx.array([prompt]), cache=caches)
            kept.keep(None, prompt, caches)
            handed = kept.fetch(None, [*prompt, 1])
        mx.clear_streams()
        return handed

    with ThreadPoolExecutor(1) as pool:
        handed, length = pool.submit(work).result()
    assert length == len(prompt)
    assert handed is not None
    fresh = make_prompt_cache(model)
    _run(model, fresh, prompt)
    np.testing.assert_allclose(np.array(_run(model, handed, [1])), np.array(_run(model, fresh, [1])), atol=1e-5)


def test_a_row_of_a_batch_does_not_keep_the_others_alive() -> None:
    kept = Snapshots(1 << 28)
    rows = ArraysCache(1)
    rows[0] = mx.ones((16, 256, 1024))
    mx.eval(rows[0])
    mx.clear_cache()
    before = mx.get_active_memory()
    kept.keep(None, [1, 2], [rows.extract(3)])
    del rows
    assert before - mx.get_active_memory() == 15 * kept.nbytes


def _cache_of(nbytes: int) -> Callable[[list[int]], list[Any]]:
    def make(tokens: list[int]) -> list[Any]:
        cache = RotatingKVCache(max_size=64)
        cache.update_and_fetch(*[mx.full((1, 1, len(tokens), nbytes // len(tokens) // 8), float(sum(tokens)))] * 2)
        return [cache]

    return make


def _keep(kept: Snapshots, *runs: list[int], key: str | None = None) -> None:
    for tokens in runs:
        kept.keep(key, tokens, _cache_of(800)(tokens))


def test_the_longest_snapshot_that_is_a_prefix_is_found() -> None:
    kept = Snapshots(1 << 20)
    _keep(kept, [1], [1, 2], [1, 2, 3, 4], [1, 5, 6], [9, 2, 3])
    for asked, found in (([1, 2, 3], 2), ([1, 2, 3, 4, 5], 4), ([1, 5], 1), ([2], 0), ([9, 2], 0), ([], 0)):
        caches, length = kept.fetch(None, asked)
        assert length == found == kept.match(None, asked)
        if caches is not None:
            assert float(caches[0].keys[0, 0, 0, 0]) == sum(asked[:found])
    assert kept.match("adapter", [1, 2]) == 0
    stats = kept.stats()
    assert (stats.hits, stats.misses, stats.hit_tokens) == (3, 3, 7)


def test_bytes_are_bounded_the_oldest_goes_first_and_the_shared_last() -> None:
    kept = Snapshots(4 * 800)
    _keep(kept, [1], [2], [3])
    kept.fetch(None, [1])
    kept.protect(None, [2])
    kept.protect(None, [77])
    _keep(kept, [4], [5])
    assert [kept.match(None, [n]) for n in (1, 2, 3, 4, 5)] == [1, 1, 0, 1, 1]
    kept.keep(None, [6], _cache_of(8000)([6]))  # more than there is room for
    assert kept.match(None, [6]) == 0
    assert (kept.nbytes, kept.stats().evictions) == (4 * 800, 1)
    assert kept.trim_to(1000) == 3 * 800
    assert [kept.match(None, [n]) for n in (1, 2, 4, 5)] == [0, 1, 0, 0]


def test_a_key_is_forgotten() -> None:
    kept = Snapshots(1 << 20)
    _keep(kept, [1, 2], [1], key="adapter")
    _keep(kept, [1, 2])
    kept.forget("adapter")
    kept.forget("nobody")
    assert (kept.match("adapter", [1, 2]), kept.match(None, [1, 2]), kept.nbytes) == (0, 2, 800)


def test_plain_caches_are_kept_in_a_tree() -> None:
    plain = llama.Model(llama.ModelArgs.from_dict({**_SIZES, "model_type": "llama", "num_hidden_layers": 2}))
    kept = prefix_cache(make_prompt_cache(plain), 1 << 20)
    assert isinstance(kept._memory, PrefixTree)
