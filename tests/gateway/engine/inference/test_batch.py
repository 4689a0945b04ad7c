"""Rows decoded together, with the host reading along or one step behind, for several kinds of attention."""

from __future__ import annotations

import mlx.core as mx
import mlx.nn as nn
import pytest
from mlx.utils import tree_flatten
from mlx_lm.models import falcon_h1, gemma3_text, llama
from mlx_lm.models.cache import make_prompt_cache

from distill.mlx import attend
from gateway.engine.inference.adapters import AdapterLayers
from gateway.engine.inference.batch import Batch, Piece, Said
from gateway.engine.inference.devicebatch import DeviceBatch
from gateway.engine.inference.generation import Generation
from gateway.engine.inference.host import Cores
from gateway.engine.inference.hostbatch import HostBatch
from gateway.engine.inference.job import Job, Sampling
from gateway.engine.inference.speculation import Speculation
from gateway.engine.inference.window import WindowCache

GREEDY = Sampling(temperature=0)
SIZES = {"hidden_size": 64, "num_hidden_layers": 3, "intermediate_size": 96, "num_attention_heads": 4, "vocab_size": 99}
HEADS = {"num_key_value_heads": 2, "rms_norm_eps": 1e-5, "head_dim": 16, "max_position_embeddings": 512}


def plain() -> nn.Module:
    return llama.Model(llama.ModelArgs.from_dict({"model_type": "llama", **SIZES, **HEADS}))


def rotating() -> nn.Module:
    """Two layers of three see the last eight tokens only."""
    windows = {"sliding_window": 8, "sliding_window_pattern": 3, "query_pre_attn_scalar": 16}
    return gemma3_text.Model(
        gemma3_text.ModelArgs.from_dict({"model_type": "gemma3_text", **SIZES, **HEADS, **windows})
    )


def hybrid() -> nn.Module:
    """Attention and a state-space layer in each block."""
    states = {"mamba_d_ssm": 64, "mamba_n_heads": 4, "mamba_d_head": 16, "mamba_d_state": 8, "mamba_n_groups": 1}
    more = {"mamba_d_conv": 4, "mamba_expand": 2, "mamba_chunk_size": 16, "rope_theta": 10000.0}
    return falcon_h1.Model(
        falcon_h1.ModelArgs.from_dict({"model_type": "falcon_h1", **SIZES, **HEADS, **states, **more})
    )


def initialised(made: nn.Module) -> nn.Module:
    mx.random.seed(3)
    weights = [(name, mx.random.normal(a.shape) * 0.2) for name, a in tree_flatten(made.parameters())]
    made.load_weights(weights, strict=False)
    made.eval()
    attend.install()
    return made


def prompt(i: int) -> list[int]:
    return [(i * 31 + k * 7) % 97 for k in range(9 + 5 * i)]


def alone(model: nn.Module, tokens: list[int], count: int) -> list[int]:
    caches = make_prompt_cache(model)
    out, ids = [], list(tokens)
    for _ in range(count):
        logits = model(mx.array([ids]), cache=caches)[0, -1]
        ids = [int(mx.argmax(logits))]
        out += ids
    return out


def filled(batch: Batch, tokens: list[int], count: int, said: Said | None = None) -> Generation:
    """A prompt that is computed up to its last token, in two pieces; what the rows in the batch say meanwhile."""
    generation = Generation.of(Job(tokens, count, GREEDY))
    batch.start(generation, None)
    for end in (len(tokens) // 2, len(tokens) - 1):
        more = batch.step([Piece(generation, end)])
        generation.done = end
        if said is not None:
            said += more
    return generation


def device(model: nn.Module) -> Batch:
    return DeviceBatch(model, AdapterLayers(model), {98})


def merged(model: nn.Module) -> Batch:
    return DeviceBatch(model, AdapterLayers(model), {98}, merged=True)


def host(model: nn.Module) -> Batch:
    return HostBatch(model, AdapterLayers(model), {98}, Cores(2))


def guessing(model: nn.Module) -> Batch:
    return HostBatch(model, AdapterLayers(model), {98}, Cores(2), Speculation())


MAKES = [(plain, make) for make in (device, merged, host, guessing)] + [
    (kind, make) for kind in (rotating, hybrid) for make in (device, merged)
]


@pytest.fixture(params=MAKES, ids=lambda pair: "-".join(part.__name__ for part in pair))
def model_and_batch(request: pytest.FixtureRequest) -> tuple[nn.Module, Batch]:
    """Every kind of model in every kind of batch that can compute it."""
    kind, make = request.param
    model = initialised(kind())
    return model, make(model)


def test_rows_that_come_and_go_say_what_they_say_alone(model_and_batch: tuple[nn.Module, Batch]) -> None:
    model, batch = model_and_batch
    counts = [6, 14, 3, 9, 11]
    said: Said = []
    generations: list[Generation] = []
    for i, count in enumerate(counts):  # each joins two steps after the one before
        generations.append(filled(batch, prompt(i), count, said))
        batch.join(generations[-1])
        said += batch.step() + batch.step()
    leaver = generations[4]
    if leaver in batch.rows:
        batch.leave(leaver)
    while batch.rows:
        said += batch.step()
    for generation, count in zip(generations[:4], counts, strict=False):
        tokens = [token for g, token in said if g is generation]
        assert generation.tokens[len(generation.job.prompt) :] == alone(model, generation.job.prompt, count)
        assert [token.id for token in tokens] == generation.tokens[len(generation.job.prompt) :]
        assert tokens[-1].finish is not None
        assert [token.finish for token in tokens[:-1]] == [None] * (len(tokens) - 1)
    assert leaver.tokens[: len(prompt(4))] == prompt(4)
    assert leaver.caches is not None


def test_a_row_that_left_goes_on_from_its_caches() -> None:
    model = initialised(plain())
    batch = guessing(model)
    one, other = filled(batch, prompt(1), 12), filled(batch, prompt(2), 30)
    batch.join(one)
    batch.join(other)
    for _ in range(4):
        batch.step()
    batch.leave(one)
    assert one.done == len(one.tokens) - 1
    batch.step()
    batch.join(one)
    while one in batch.rows:
        batch.step()
    assert one.tokens[len(prompt(1)) :] == alone(model, prompt(1), 12)[: one.generated]


def test_a_window_is_what_a_mask_over_everything_says() -> None:
    """Against attention over all tokens with the window as an explicit mask, however the tokens are cut into chunks."""
    mx.random.seed(1)
    size, keep, n = 12, 4, 40
    q, k, v = (mx.random.normal((1, 2, n, 8)) for _ in range(3))
    i, j = mx.arange(n)[:, None], mx.arange(n)[None]
    mask = (j <= i) & ((j < keep) | (j > i - (size - keep)))
    wanted = mx.fast.scaled_dot_product_attention(q, k, v, scale=1.0, mask=mask)
    for chunks in ([40], [7, 13, 20], [10, *[1] * 30], [3, 1, 1, 5, 30]):
        cache, got, start = WindowCache(size, keep), [], 0
        for length in chunks:
            part = slice(start, start + length)
            window = cache.make_mask(length)
            keys, values = cache.update_and_fetch(k[:, :, part], v[:, :, part])
            got.append(mx.fast.scaled_dot_product_attention(q[:, :, part], keys, values, scale=1.0, mask=window))
            start += length
            assert cache.size() <= size
        assert mx.allclose(mx.concatenate(got, axis=2), wanted, atol=1e-5), chunks


def test_a_window_without_room_is_refused() -> None:
    with pytest.raises(ValueError, match="no room"):
        WindowCache(8, 8)
