"""Tiny models made on the fly: a byte-level tokenizer, random weights of several architectures, the student loaded."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import pytest
from mlx.utils import tree_map
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from distill.mlx.load import LoadedModel, load
from distill.mlx.template import HERMES
from distill.render import Renderer

CONTROL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<file_sep>"]
_CONFIG = {
    "hidden_size": 48,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "rms_norm_eps": 1e-5,
    "vocab_size": 260,
    "rope_theta": 10000.0,
    "max_position_embeddings": 4096,
    "tie_word_embeddings": True,
    "eos_token_id": 258,
}


@pytest.fixture(scope="session")
def make_tokenizer() -> Callable[..., None]:
    """Writes the tokenizer's and template's files: 256 byte tokens, then the control tokens."""

    def make(folder: Path, template: str = HERMES, control: list[str] = CONTROL) -> None:
        alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
        tokenizer = Tokenizer(models.BPE(vocab={letter: i for i, letter in enumerate(alphabet)}, merges=[]))
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        tokenizer.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in control])
        tokenizer.save(str(folder / "tokenizer.json"))
        (folder / "tokenizer_config.json").write_text(json.dumps({"eos_token": "<|im_end|>"}))
        (folder / "chat_template.jinja").write_text(template)

    return make


@pytest.fixture(scope="session")
def make_renderer(
    tmp_path_factory: pytest.TempPathFactory, make_tokenizer: Callable[..., None]
) -> Callable[..., Renderer]:
    """A renderer for a template, on the byte-level tokenizer."""

    def make(template: str = HERMES, control: list[str] = CONTROL) -> Renderer:
        folder = tmp_path_factory.mktemp("renderer")
        make_tokenizer(folder, template, control)
        (folder / "config.json").write_text(json.dumps(_CONFIG))
        return Renderer(folder)

    return make


@pytest.fixture(scope="session")
def renderer(make_renderer: Callable[..., Renderer]) -> Renderer:
    return make_renderer()


@pytest.fixture(scope="session")
def make_model() -> Callable[..., nn.Module]:
    """A small float32 model of an mlx-lm architecture with random weights that do not vanish; the same each time."""

    def make(kind: str, **changes: Any) -> nn.Module:
        module = importlib.import_module(f"mlx_lm.models.{kind}")
        mx.random.seed(11)
        model = module.Model(module.ModelArgs.from_dict({"model_type": kind, **_CONFIG, **changes}))
        model.update(tree_map(lambda array: array + 0.1 * mx.random.normal(array.shape), model.parameters()))
        mx.eval(model.parameters())
        return model

    return make


@pytest.fixture(scope="session")
def tiny_folder(
    tmp_path_factory: pytest.TempPathFactory,
    make_tokenizer: Callable[..., None],
    make_model: Callable[..., nn.Module],
) -> Path:
    """A whole model folder: a random llama of three layers that speaks bytes. Read only: copy it to change it."""
    folder = tmp_path_factory.mktemp("tiny")
    make_tokenizer(folder)
    (folder / "config.json").write_text(json.dumps({"model_type": "llama", **_CONFIG}))
    make_model("llama").save_weights(str(folder / "model.safetensors"))
    return folder


@pytest.fixture(scope="session")
def student(student_folder: Path) -> LoadedModel:
    return load(student_folder)
