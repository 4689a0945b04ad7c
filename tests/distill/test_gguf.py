"""The conversion's parts that can be seen without a model; the whole is seen in test_embedded."""

from __future__ import annotations

from pathlib import Path

import mlx.core as mx
import pytest

from distill.errors import ModelError
from distill.mlx import gguf


def test_rotary_rows_come_back_in_order() -> None:
    """llama.cpp's converter turns each head's (2, half) rows into (half, 2)."""
    heads, half, width = {"q_proj": 4, "k_proj": 2}, 3, 5
    config = {"num_attention_heads": 4, "num_key_value_heads": 2}
    original, stored = {}, {}
    for part, count in heads.items():
        name = f"model.layers.0.self_attn.{part}.weight"
        rows = mx.random.normal((count * 2 * half, width))
        original[name] = rows
        stored[name] = rows.reshape(count, 2, half, width).swapaxes(1, 2).reshape(rows.shape)
    name = "model.layers.0.self_attn.v_proj.weight"
    original[name] = stored[name] = mx.random.normal((12, width))
    gguf._restore_rotary_rows(stored, config)
    for name, rows in original.items():
        assert mx.array_equal(stored[name], rows).item()


def test_names_are_mlx_lms() -> None:
    assert gguf._rename("blk.12.attn_q.scales") == "model.layers.12.self_attn.q_proj.scales"
    assert gguf._rename("token_embd.weight") == "model.embed_tokens.weight"
    assert gguf._rename("output.biases") == "lm_head.biases"


@pytest.mark.parametrize("architecture", ["qwen2", "", "Llama"])
def test_another_architecture_is_refused(tmp_path: Path, architecture: str) -> None:
    file = tmp_path / "model.gguf"
    mx.save_gguf(str(file), {"token_embd.weight": mx.zeros((4, 32))}, {"general.architecture": architecture})
    with pytest.raises(ModelError, match="only the llama architecture"):
        gguf.convert(file, tmp_path, "")


def test_another_tokenizer_is_refused() -> None:
    with pytest.raises(ModelError, match="llama-bpe"):
        gguf._tokenizer({"tokenizer.ggml.pre": "llama-bpe"})
