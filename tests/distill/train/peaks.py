"""`python -m tests.distill.train.peaks`: what steps take of memory at most, as the trainer runs them. Prints a JSON
object of bytes over what is there before the step."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from distill.mlx import blas
from distill.train.tokens import Tokens

ARGS = {
    "model_type": "llama", "hidden_size": 64, "intermediate_size": 1024, "num_attention_heads": 4,
    "num_key_value_heads": 2, "rms_norm_eps": 1e-6, "tie_word_embeddings": True,
}  # fmt: skip


def examples(count: int, learnt: int) -> list[Tokens]:
    """Of a shared beginning of 60 tokens, and as many learnt ones behind it."""
    rng = np.random.default_rng(0)
    first = rng.integers(1, 250, 60)
    whole = [np.concatenate([first, rng.integers(1, 250, learnt)]).astype(np.int32) for _ in range(count)]
    return [Tokens(ids, np.arange(len(ids)) >= 60) for ids in whole]


def main() -> dict[str, int]:
    blas.prepare(threads=1)
    os.putenv("MLX_BFS_MAX_WIDTH", "100")

    import mlx.core as mx
    import mlx.nn as nn
    from mlx_lm.models import llama

    from distill.mlx import attend, lora
    from distill.train.forward import Again
    from distill.train.making import loss_of

    def peak(layers: int, vocabulary: int, taught: Sequence[Tokens], again: Again) -> int:
        mx.random.seed(0)
        model = llama.Model(llama.ModelArgs(**ARGS, num_hidden_layers=layers, vocab_size=vocabulary))
        model.freeze()
        lora.wrap(model, lora.config_of(rank=2, scale=2.0, layers=layers))
        mx.eval(model.parameters())
        loss = loss_of(model, taught, 0, 2**34)
        prepared = replace(loss.prepare(range(len(taught))), again=again)
        before = mx.get_active_memory()
        mx.reset_peak_memory()
        mx.eval(nn.value_and_grad(model, loss)(prepared))
        return mx.get_peak_memory() - before

    attend.install()
    few, many = examples(16, 16), examples(16, 64)
    return {
        "few predictions": peak(1, 2**18, few, Again()),
        "many predictions": peak(1, 2**18, many, Again()),
        "all layers kept": peak(16, 256, many, Again()),
        "8 layers again": peak(8, 256, many, Again(layers=8)),
        "16 layers again": peak(16, 256, many, Again(layers=16)),
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main()))
