"""A tiny random model made on the fly, the real student where a test asks for it, and an engine process to talk to."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import httpx
import pytest

from distill.mlx import blas

blas.prepare(1)

import mlx.core as mx  # noqa: E402 - the BLAS comes first
from mlx.utils import tree_flatten  # noqa: E402
from mlx_lm.models import llama  # noqa: E402
from tokenizers import Tokenizer, decoders, models, pre_tokenizers  # noqa: E402

from distill.mlx import lora  # noqa: E402
from gateway.engine.inference.limits import Limits  # noqa: E402
from gateway.engine.served import ServedModel  # noqa: E402

_CONFIG = {
    "model_type": "llama",
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "intermediate_size": 128,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "rms_norm_eps": 1e-5,
    "vocab_size": 260,
    "max_position_embeddings": 512,
    "tie_word_embeddings": False,
    "eos_token_id": 257,
}
_TEMPLATE = (
    "{% for m in messages %}<|start|>{{ m.role }}\n{{ m.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant\n{% endif %}"
)
_RUN = (  # leaves as the command does: see gateway.cli._serve
    "import asyncio, os, sys, msgspec; from gateway.engine.server import EngineSettings, run_engine;"
    "settings = msgspec.json.decode(sys.argv[1], type=EngineSettings, dec_hook=lambda t, v: t(v));"
    "asyncio.run(run_engine(settings)); sys.stderr.flush(); os._exit(0)"
)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder: random weights, bytes as tokens, two control tokens, 512 tokens of context."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    folder.mkdir()
    mx.random.seed(7)
    model = llama.Model(llama.ModelArgs.from_dict(_CONFIG))
    weights = {name: mx.random.normal(a.shape) * 0.3 for name, a in tree_flatten(model.parameters())}
    mx.save_safetensors(str(folder / "model.safetensors"), weights)
    (folder / "config.json").write_text(json.dumps(_CONFIG))
    (folder / "chat_template.jinja").write_text(_TEMPLATE)
    (folder / "tokenizer_config.json").write_text("{}")
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({letter: i for i, letter in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<|start|>", "<|end|>"])
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


@pytest.fixture
async def served(tiny: Path) -> AsyncIterator[ServedModel]:
    model = ServedModel("tiny", tiny, limits=Limits(batch=8, prefill_step=64))
    await model.open()
    yield model
    await model.close()


@pytest.fixture(scope="session")
def make_adapter(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Write an adapter with random weights for the tiny model."""

    def make(
        name: str, seed: int, *, rank: int = 4, layers: int = 2, width: int = 64, kind: lora.Kind = "lora"
    ) -> Path:
        folder = tmp_path_factory.mktemp("adapters") / name
        folder.mkdir()
        mx.random.seed(seed)
        model = llama.Model(llama.ModelArgs.from_dict({**_CONFIG, "hidden_size": width}))
        config = lora.config_of(rank=rank, scale=2.0, layers=layers, kind=kind)
        lora.wrap(model, config)
        lora.write(folder, {n: mx.random.normal(a.shape) for n, a in lora.adapter_tensors(model).items()}, config)
        return folder

    return make


class EngineProcess:
    """An engine in a process of its own, on a Unix socket or a port."""

    def __init__(self, settings: dict[str, object]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", _RUN, json.dumps(settings)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
        )
        self._socket = Path(str(settings["socket"])) if "socket" in settings else None
        if self._socket is not None:
            self.url = "http://engine"
            self.http = httpx.Client(transport=httpx.HTTPTransport(uds=str(settings["socket"])), timeout=60)
        else:
            self.url = f"http://127.0.0.1:{settings['port']}"
            self.http = httpx.Client(timeout=60)

    def wait(self) -> EngineProcess:
        until = time.monotonic() + 60
        while time.monotonic() < until and self.process.poll() is None:
            if not self._listens():
                time.sleep(0.1)
                continue
            try:
                if self.http.get(self.url + "/health").status_code == 200:
                    return self
            except httpx.TransportError:
                time.sleep(0.1)
        raise AssertionError(f"the engine did not start: {self.end()}")

    def _listens(self) -> bool:
        """Asked first, as httpx leaves a Unix socket open when nobody answers on it."""
        if self._socket is None:
            return True
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(self._socket)) == 0

    def end(self, number: signal.Signals = signal.SIGTERM) -> str:
        """Stop it; what it wrote to standard error."""
        self.http.close()
        self.process.send_signal(number)
        return self.process.communicate(timeout=20)[1]


@pytest.fixture
def start_engine() -> Iterator[Callable[..., EngineProcess]]:
    started: list[EngineProcess] = []

    def start(**settings: object) -> EngineProcess:
        started.append(EngineProcess(settings))
        return started[-1]

    yield start
    for engine in started:
        engine.http.close()
        if engine.process.poll() is None:
            engine.process.kill()
        engine.process.communicate(timeout=20)


@pytest.fixture
def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
