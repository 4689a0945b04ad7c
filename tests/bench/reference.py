"""What mlx-lm itself generates, greedily and one prompt after another: `python -m tests.bench.reference`.

A process of its own. Reads Wanted as JSON from standard input, prompts as token ids, and writes a list of Greedy; its
`gaps` are the distances of the two best logits where each token was chosen. Of the engine only the BLAS is at work.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from tests.bench.weights import CHECKOUT


class Greedy(msgspec.Struct):
    tokens: list[int]
    gaps: list[float]


class Wanted(msgspec.Struct):
    model: str
    prompts: list[list[int]]
    max_tokens: int
    ends: list[int]


def greedy(model: Path, prompts: Sequence[list[int]], max_tokens: int, ends: set[int]) -> list[Greedy]:
    """Start the process and wait for it. An answer stops after the first of the tokens that end a turn."""
    wanted = Wanted(str(model), list(prompts), max_tokens, sorted(ends))
    command = [sys.executable, "-m", "tests.bench.reference"]
    done = subprocess.run(command, cwd=CHECKOUT, input=msgspec.json.encode(wanted), capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(f"mlx-lm's own run failed: {done.stderr.decode()[-500:]}")
    return msgspec.json.decode(done.stdout, type=list[Greedy])


def _generate(wanted: Wanted) -> list[Greedy]:
    from distill.mlx import blas

    blas.prepare(1)
    from mlx_lm.utils import load_model

    model, _ = load_model(Path(wanted.model))
    return [_one(model, prompt, wanted) for prompt in wanted.prompts]


def _one(model: Any, prompt: list[int], wanted: Wanted) -> Greedy:
    import mlx.core as mx
    from mlx_lm.generate import generate_step

    found = Greedy([], [])
    for token, logprobs in generate_step(mx.array(prompt), model, max_tokens=wanted.max_tokens):
        best = mx.topk(logprobs, 2)  # log-probabilities differ as logits do
        found.tokens.append(int(token))
        found.gaps.append(float(mx.abs(best[0] - best[1])))
        if int(token) in wanted.ends:
            break
    return found


if __name__ == "__main__":
    answers = _generate(msgspec.json.decode(sys.stdin.buffer.read(), type=Wanted))
    sys.stdout.buffer.write(msgspec.json.encode(answers))
