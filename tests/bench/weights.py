"""The weights that benchmarks need: the student's folder, the same in float32, random adapters, the GGUF file.

Everything here needs MLX, which wants its BLAS first and a thread of its own, so each runs as a process:
`python -m tests.bench.weights WHAT ...`. The functions above `main` start those processes; they import no MLX.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[2]
NAME = "smollm2-135m"


def student() -> Path:
    """The embedded student's folder in the checkout, made first if it is not there yet."""
    return Path(_child("student"))


def gguf() -> Path:
    """The student as llama.cpp reads it, kept outside the checkout."""
    return Path(_child("gguf"))


def float32(source: Path, target: Path) -> Path:
    """A copy of a model folder with float32 weights: what every server computes fastest with on a CPU."""
    _child("float32", str(source), str(target))
    return target


def adapter(base: Path, target: Path, seed: int) -> Path:
    """An adapter with random weights for a model folder. Its greedy answers differ from the base's."""
    _child("adapter", str(base), str(target), str(seed))
    return target


def _child(*words: str) -> str:
    command = [sys.executable, "-m", "tests.bench.weights", *words]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)} failed: {done.stderr.strip()[-500:]}")
    return done.stdout.strip()


# From here on: the child.


def _entry() -> dict[str, Any]:
    entry: dict[str, Any] = tomllib.loads((CHECKOUT / "models" / "catalog.toml").read_text())[NAME]
    return entry


def _make_student() -> str:
    from distill.mlx.embedded import ensure_embedded

    return str(ensure_embedded(_entry(), CHECKOUT / "models" / NAME))


def _make_gguf() -> str:
    import platformdirs

    from distill.digest import file_digest
    from distill.mlx import embedded

    entry = _entry()
    kept = platformdirs.user_cache_path("nightschool", ensure_exists=True) / Path(entry["member"]).name
    if not (kept.exists() and file_digest(kept) == entry["member_sha256"]):
        with tempfile.TemporaryDirectory(dir=kept.parent) as work:
            embedded._fetch(entry, Path(work)).replace(kept)
    return str(kept)


def _make_float32(source: Path, target: Path) -> str:
    import mlx.core as mx
    from mlx.utils import tree_flatten

    from distill.mlx.load import load

    loaded = load(source)
    target.mkdir(parents=True)
    weights = {name: a.astype(mx.float32) for name, a in tree_flatten(loaded.model.parameters())}
    mx.save_safetensors(str(target / "model.safetensors"), weights, metadata={"format": "mlx"})
    config = {key: value for key, value in loaded.config.items() if not key.startswith("quantization")}
    (target / "config.json").write_text(json.dumps(config))
    for file in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copyfile(source / file, target / file)
    return str(target)


def _make_adapter(base: Path, target: Path, seed: int) -> str:
    """LoRA of rank 4 on the last eight layers. The strength is such that text changes but stays text."""
    import mlx.core as mx

    from distill.mlx import lora
    from distill.mlx.load import load

    mx.random.seed(seed)
    model = load(base).model
    config = lora.config_of(rank=4, scale=2.0, layers=8)
    lora.wrap(model, config)
    tensors = lora.adapter_tensors(model)
    tensors |= {name: mx.random.normal(a.shape) * 0.4 for name, a in tensors.items() if name.endswith(".lora_b")}
    target.mkdir(parents=True)
    lora.write(target, tensors, config)
    return str(target)


def main(words: list[str]) -> str:
    from distill.mlx import blas

    blas.prepare(1)
    match words:
        case ["student"]:
            return _make_student()
        case ["gguf"]:
            return _make_gguf()
        case ["float32", source, target]:
            return _make_float32(Path(source), Path(target))
        case ["adapter", base, target, seed]:
            return _make_adapter(Path(base), Path(target), int(seed))
    raise SystemExit(f"not understood: {words}")


if __name__ == "__main__":
    sys.stdout.write(main(sys.argv[1:]) + "\n")
