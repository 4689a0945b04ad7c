"""GGUF files made folders: the parts by themselves, and a small Qwen2 file whole; test_embedded has SmolLM2's."""

from __future__ import annotations

from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest
from gguf import GGMLQuantizationType, GGUFWriter
from mlx_lm.utils import load_model
from tokenizers import Tokenizer, pre_tokenizers

from distill.errors import ModelError
from distill.mlx import gguf
from distill.mlx.convert import convert
from distill.render import Renderer
from router.chat import Message

WIDTH = 256  # a row of the file is one block of Q4_K
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}<|im_start|>assistant\n"
)
ALPHABET = sorted(pre_tokenizers.ByteLevel.alphabet())
TOKENS = [*ALPHABET, "Ġt", "on", "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<tool_call>"]
KINDS = [1] * (len(TOKENS) - 4) + [3, 3, 3, 4]


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


@pytest.mark.parametrize("architecture", ["qwen3", "", "Llama"])
def test_another_architecture_is_refused(tmp_path: Path, architecture: str) -> None:
    file = tmp_path / "model.gguf"
    mx.save_gguf(str(file), {"token_embd.weight": mx.zeros((4, 32))}, {"general.architecture": architecture})
    with pytest.raises(ModelError, match="the llama and qwen2 architectures"):
        gguf.convert(file, tmp_path, "")


def blocks_of_q4_k(rows: int, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """One block a row, and the weights it stands for.

    A block is float16 scale and minimum; eight 6-bit scales and minima in twelve bytes; 256 values of four bits. Weight
    = scale * sub-scale * value - minimum * sub-minimum, in sub-blocks of 32 (ggml's block_q4_K).
    """
    scale, low = (generator.uniform(0.001, 0.01, (rows, 1)).astype(np.float16) for _ in range(2))
    subs, lows = (generator.integers(0, 64, (rows, 8), dtype=np.uint8) for _ in range(2))
    values = generator.integers(0, 16, (rows, 8, 32), dtype=np.uint8)
    packed = np.zeros((rows, 12), np.uint8)
    packed[:, 0:4] = subs[:, :4] | (subs[:, 4:] >> 4) << 6
    packed[:, 4:8] = lows[:, :4] | (lows[:, 4:] >> 4) << 6
    packed[:, 8:12] = (subs[:, 4:] & 15) | (lows[:, 4:] & 15) << 4
    pairs = values.reshape(rows, 4, 2, 32)  # two sub-blocks share their bytes
    halves = (pairs[:, :, 0] | pairs[:, :, 1] << 4).reshape(rows, 128)
    stored = np.concatenate([scale.view(np.uint8), low.view(np.uint8), packed, halves], axis=1)
    steps, floors = scale.astype(np.float32) * subs, low.astype(np.float32) * lows
    return stored, (steps[:, :, None] * values - floors[:, :, None]).reshape(rows, 256)


def qwen2_file(path: Path, *, template: str = TEMPLATE, pre: str = "qwen2") -> dict[str, np.ndarray]:
    """A Qwen2 of one layer with all its products in Q4_K; its weights by their names in the file."""
    writer, generator, weights = GGUFWriter(path, "qwen2"), np.random.default_rng(5), {}
    writer.add_block_count(1)
    writer.add_context_length(128)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(WIDTH)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_rope_freq_base(10000.0)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(TOKENS)
    writer.add_token_types(KINDS)
    writer.add_token_merges(["Ġ t", "o n"])
    for role, token in (("bos", "<|endoftext|>"), ("eos", "<|im_end|>"), ("pad", "<|endoftext|>")):
        getattr(writer, f"add_{role}_token_id")(TOKENS.index(token))
    if template:
        writer.add_chat_template(template)
    wide = {"attn_q": WIDTH, "attn_k": 128, "attn_v": 128, "attn_output": WIDTH}
    products = {
        f"blk.0.{name}": rows for name, rows in {**wide, "ffn_gate": 256, "ffn_up": 256, "ffn_down": 256}.items()
    }
    for name, rows in {"token_embd": len(TOKENS), **products}.items():
        stored, weights[f"{name}.weight"] = blocks_of_q4_k(rows, generator)
        writer.add_tensor(f"{name}.weight", stored, raw_dtype=GGMLQuantizationType.Q4_K)
    for name in ("attn_q", "attn_k", "attn_v"):
        weights[f"blk.0.{name}.bias"] = generator.normal(size=wide[name]).astype(np.float32)
    for name in ("blk.0.attn_norm", "blk.0.ffn_norm", "output_norm"):
        weights[f"{name}.weight"] = np.ones(WIDTH, np.float32)
    for name in [name for name in weights if name.endswith(("bias", "norm.weight"))]:
        writer.add_tensor(name, weights[name])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return weights


def test_k_quants_come_out_as_they_were_put_in(tmp_path: Path) -> None:
    weights = qwen2_file(tmp_path / "small.gguf")
    made = convert(tmp_path / "small.gguf", tmp_path / "made", bits=16)
    model, config = load_model(made)
    assert config["model_type"] == "qwen2"
    assert config["tie_word_embeddings"] is True
    held = mx.load(str(made / "model.safetensors"))
    assert isinstance(held, dict)
    assert {gguf._rename(name) for name in weights} == held.keys()
    for name, weight in weights.items():
        assert np.allclose(np.array(held[gguf._rename(name)]), weight, rtol=2e-3, atol=1e-4), name
    assert model(mx.array([[1, 2, 3]])).shape == (1, 3, len(TOKENS))


def test_a_qwen2_file_brings_its_tokenizer_and_its_template(tmp_path: Path) -> None:
    qwen2_file(tmp_path / "small.gguf")
    made = convert(tmp_path / "small.gguf", tmp_path / "made", bits=8, group_size=32)
    tokenizer, renderer = Tokenizer.from_file(str(made / "tokenizer.json")), Renderer(made)
    text = "Don't stop the 1234 tests,\n\n  please <tool_call>!"
    tokens = tokenizer.encode(text).ids
    assert tokenizer.decode(tokens) == text
    assert TOKENS.index("<tool_call>") in tokens
    assert TOKENS.index("Ġt") in tokens
    assert renderer.eos_ids == {TOKENS.index("<|im_end|>")}
    prompt = renderer.prompt([Message("user", "on")])
    start, end = TOKENS.index("<|im_start|>"), TOKENS.index("<|im_end|>")
    assert [token for token in prompt if token in (start, end)] == [start, end, start]


def test_a_file_that_cannot_be_converted_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "text.gguf").write_text("no model at all")
    whole = tmp_path / "whole.gguf"
    qwen2_file(whole)
    (tmp_path / "half.gguf").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    qwen2_file(tmp_path / "mute.gguf", template="")
    qwen2_file(tmp_path / "strange.gguf", pre="other")
    refusals = {"text": "cannot be read", "half": "cannot be read", "mute": "no chat template", "strange": "'other'"}
    for name, words in refusals.items():
        with pytest.raises(ModelError, match=words):
            convert(tmp_path / f"{name}.gguf", tmp_path / "made")
        assert not list(tmp_path.glob("*made*")), name
