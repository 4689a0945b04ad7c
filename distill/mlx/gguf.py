"""A llama-architecture GGUF file as an MLX model folder, without torch.

Owns the conversion: weights stay in the quantised form MLX reads from the file, the tokenizer is built from the
file's own vocabulary and merges. Knows nothing of where the file came from or what it is for.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import mlx.core as mx
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from distill.errors import ModelError

_NAMES = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_norm": "input_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "ffn_norm": "post_attention_layernorm",
}
_TOP_NAMES = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
_CONTROL = 3  # GGUF's token type for control tokens
_GROUP = 32  # weights per scale in Q4_1 and Q8_0


def convert(gguf: Path, folder: Path, chat_template: str) -> None:
    """Write config.json, model.safetensors and the tokenizer's files into an existing folder."""
    loaded = mx.load(str(gguf), return_metadata=True)
    arrays, metadata = cast(tuple[dict[str, mx.array], dict[str, Any]], loaded)
    if metadata.get("general.architecture") != "llama":
        raise ModelError(f"{gguf.name}: only the llama architecture is converted")
    config = _config(arrays, metadata)
    weights = {_rename(name): array for name, array in arrays.items()}
    _restore_rotary_rows(weights, config)
    mx.save_safetensors(str(folder / "model.safetensors"), weights, metadata={"format": "mlx"})
    (folder / "config.json").write_text(json.dumps(config, indent=2))
    _tokenizer(metadata).save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps(_tokenizer_config(metadata), indent=2))
    (folder / "chat_template.jinja").write_text(chat_template)


def _config(arrays: dict[str, mx.array], metadata: dict[str, Any]) -> dict[str, Any]:
    def number(key: str) -> int:
        return int(metadata[f"llama.{key}"].item())

    return {
        "model_type": "llama",
        "architectures": ["LlamaForCausalLM"],
        "hidden_size": number("embedding_length"),
        "intermediate_size": number("feed_forward_length"),
        "num_hidden_layers": number("block_count"),
        "num_attention_heads": number("attention.head_count"),
        "num_key_value_heads": number("attention.head_count_kv"),
        "head_dim": number("rope.dimension_count"),
        "max_position_embeddings": number("context_length"),
        "rms_norm_eps": float(metadata["llama.attention.layer_norm_rms_epsilon"].item()),
        "rope_theta": float(metadata["llama.rope.freq_base"].item()),
        "vocab_size": number("vocab_size"),
        "tie_word_embeddings": "output.weight" not in arrays,
        "bos_token_id": int(metadata["tokenizer.ggml.bos_token_id"].item()),
        "eos_token_id": int(metadata["tokenizer.ggml.eos_token_id"].item()),
        "quantization": _quantization(arrays, number("embedding_length")),
    }


def _quantization(arrays: dict[str, mx.array], width: int) -> dict[str, Any]:
    """mlx-lm's description of the layers' bits; those that differ from four bits are named."""
    plan: dict[str, Any] = {"group_size": _GROUP, "bits": 4}
    for name, array in arrays.items():
        if array.dtype == mx.uint32:
            bits = array.shape[-1] * 32 // (arrays[name.replace(".weight", ".scales")].shape[-1] * _GROUP)
            if bits != plan["bits"]:
                plan[_rename(name).removesuffix(".weight")] = {"group_size": _GROUP, "bits": bits}
    if width % _GROUP:
        raise ModelError(f"the hidden size {width} is no multiple of {_GROUP}")
    return plan


def _rename(name: str) -> str:
    head, _, rest = name.partition(".")
    if head != "blk":
        return f"{_TOP_NAMES[head]}.{rest}"
    layer, part, kind = rest.split(".")
    return f"model.layers.{layer}.{_NAMES[part]}.{kind}"


def _restore_rotary_rows(weights: dict[str, mx.array], config: dict[str, Any]) -> None:
    """Undo llama.cpp's row order of the q and k projections.

    It stores each head's rows with the two halves interleaved, (half, 2), for its own rotary embedding; MLX rotates
    the first half against the second, (2, half).
    """
    for name, array in weights.items():
        heads = {"q_proj": "num_attention_heads", "k_proj": "num_key_value_heads"}.get(name.split(".")[-2])
        if heads:
            rows = array.reshape(config[heads], array.shape[0] // config[heads] // 2, 2, -1)
            weights[name] = rows.swapaxes(1, 2).reshape(array.shape)


def _tokenizer(metadata: dict[str, Any]) -> Tokenizer:
    """Byte-level BPE; digits are split one by one before the byte-level split (GGUF's pre-tokenizer "smollm")."""
    if metadata["tokenizer.ggml.pre"] != "smollm":
        raise ModelError(f"the pre-tokenizer {metadata['tokenizer.ggml.pre']!r} is not known here")
    tokens = metadata["tokenizer.ggml.tokens"]
    merges = [tuple(merge.split(" ")) for merge in metadata["tokenizer.ggml.merges"]]
    tokenizer = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate(tokens)}, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    kinds = metadata["tokenizer.ggml.token_type"].tolist()
    control = [token for token, kind in zip(tokens, kinds, strict=True) if kind == _CONTROL]
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in control])
    return tokenizer


def _tokenizer_config(metadata: dict[str, Any]) -> dict[str, Any]:
    tokens = metadata["tokenizer.ggml.tokens"]
    named = {
        role: tokens[int(metadata[f"tokenizer.ggml.{key}"].item())]
        for role, key in {
            "bos_token": "bos_token_id",
            "eos_token": "eos_token_id",
            "pad_token": "padding_token_id",
        }.items()
    }
    return {
        **named,
        "tokenizer_class": "PreTrainedTokenizerFast",
        "add_bos_token": False,
        "clean_up_tokenization_spaces": False,
        "model_max_length": int(metadata["llama.context_length"].item()),
    }
