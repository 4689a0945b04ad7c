"""A GGUF file of the llama or qwen2 architecture as an MLX model folder, without torch.

Owns the conversion: weights stay in the quantised form MLX reads from the file where it has one (Q4_0, Q4_1, Q8_0) and
become float16 where it has none; the tokenizer is built from the file's own vocabulary and merges. Knows nothing of
where the file came from or what it is for.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import mlx.core as mx
import numpy as np
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

from distill.errors import ModelError
from distill.mlx.gguf_reader import DAMAGE, opened

NAMES = {
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
_CLASSES = {"llama": "LlamaForCausalLM", "qwen2": "Qwen2ForCausalLM"}
_KEPT = {"F32", "F16", "Q4_0", "Q4_1", "Q8_0"}  # the types that MLX reads as they are
_CONTROL, _USER = 3, 4  # GGUF's token types for control tokens and for those a user added
_GROUP = 32  # weights per scale in Q4_1 and Q8_0
# Qwen2's own split of text before its merges, as its tokenizer.json has it.
_QWEN2 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def convert(gguf: Path, folder: Path, chat_template: str | None = None) -> None:
    """Write config.json, model.safetensors and the tokenizer's files into an existing folder.

    The chat template is the file's own unless another is given. Raises ModelError for what is no GGUF file, and for an
    architecture, a tokenizer or a tensor that is not known here.
    """
    arrays, metadata = _read(gguf)
    if (architecture := metadata.get("general.architecture")) not in _CLASSES:
        raise ModelError(f"{gguf.name}: of GGUF files, the {' and '.join(_CLASSES)} architectures are converted")
    if chat_template is None and not metadata.get("tokenizer.chat_template"):
        raise ModelError(f"{gguf.name} carries no chat template")
    try:
        config = _config(arrays, metadata)
        tokenizer = _tokenizer(metadata)
        weights = {_rename(name): array for name, array in arrays.items()}
        described = _tokenizer_config(metadata)
    except KeyError as error:
        raise ModelError(f"{gguf.name}: {error} is missing, or not known here") from error
    if architecture == "llama":
        _restore_rotary_rows(weights, config)
    mx.save_safetensors(str(folder / "model.safetensors"), weights, metadata={"format": "mlx"})
    (folder / "config.json").write_text(json.dumps(config, indent=2))
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps(described, indent=2))
    (folder / "chat_template.jinja").write_text(chat_template or metadata["tokenizer.chat_template"])


def _read(gguf: Path) -> tuple[dict[str, mx.array], dict[str, Any]]:
    """Arrays and metadata, as MLX reads them but for the K-quants and their like.

    MLX 0.32.4 turns those into float16 and is wrong about Q4_K (weights off by up to 0.49 in a layer whose mean is
    0.01), so they come from llama.cpp's own package.
    """
    from gguf import dequantize  # a quarter of a second, which only a conversion should pay

    try:
        reader = opened(gguf)
        loaded = mx.load(str(gguf), format="gguf", return_metadata=True)
        arrays, metadata = cast(tuple[dict[str, mx.array], dict[str, Any]], loaded)
        for tensor in reader.tensors:
            if tensor.tensor_type.name not in _KEPT:
                arrays[tensor.name] = mx.array(dequantize(tensor.data, tensor.tensor_type).astype(np.float16))
    except (*DAMAGE, RuntimeError) as error:
        raise ModelError(f"{gguf.name} cannot be read as a GGUF file: {error}") from error
    return arrays, metadata


def _config(arrays: dict[str, mx.array], metadata: dict[str, Any]) -> dict[str, Any]:
    architecture = metadata["general.architecture"]

    def number(key: str) -> int:
        return int(metadata[f"{architecture}.{key}"].item())

    width, heads = number("embedding_length"), number("attention.head_count")
    head = "rope.dimension_count"
    config = {
        "model_type": architecture,
        "architectures": [_CLASSES[architecture]],
        "hidden_size": width,
        "intermediate_size": number("feed_forward_length"),
        "num_hidden_layers": number("block_count"),
        "num_attention_heads": heads,
        "num_key_value_heads": number("attention.head_count_kv"),
        "head_dim": number(head) if f"{architecture}.{head}" in metadata else width // heads,
        "max_position_embeddings": number("context_length"),
        "rms_norm_eps": float(metadata[f"{architecture}.attention.layer_norm_rms_epsilon"].item()),
        "rope_theta": float(metadata[f"{architecture}.rope.freq_base"].item()),
        "vocab_size": len(metadata["tokenizer.ggml.tokens"]),
        "tie_word_embeddings": "output.weight" not in arrays,
        "bos_token_id": int(metadata["tokenizer.ggml.bos_token_id"].item()),
        "eos_token_id": int(metadata["tokenizer.ggml.eos_token_id"].item()),
    }
    if any(array.dtype == mx.uint32 for array in arrays.values()):
        config["quantization"] = _quantization(arrays, width)
    return config


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
    return f"model.layers.{layer}.{NAMES[part]}.{kind}"


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
    """Byte-level BPE with the split of the model's family before it (GGUF's "pre-tokenizer")."""
    tokens = metadata["tokenizer.ggml.tokens"]
    merges = [tuple(merge.split(" ")) for merge in metadata["tokenizer.ggml.merges"]]
    tokenizer = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate(tokens)}, merges=merges))
    match metadata["tokenizer.ggml.pre"]:
        case "smollm":  # digits one by one
            tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
                [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
            )
        case "qwen2":
            tokenizer.normalizer = normalizers.NFC()
            split = pre_tokenizers.Split(Regex(_QWEN2), "isolated")
            tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
                [split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
            )
        case other:
            raise ModelError(f"the pre-tokenizer {other!r} is not known here")
    tokenizer.decoder = decoders.ByteLevel()
    kinds = metadata["tokenizer.ggml.token_type"].tolist()
    for token, kind in zip(tokens, kinds, strict=True):  # in the order of their numbers
        if kind == _CONTROL:
            tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False)])
        elif kind == _USER:
            tokenizer.add_tokens([AddedToken(token, special=False, normalized=False)])
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
        "model_max_length": int(metadata[f"{metadata['general.architecture']}.context_length"].item()),
    }
