"""`python -m tests.bench.mlx_lora SETTINGS THREADS COMPILED`: mlx-lm's LoRA training as its command does it.

A process of its own that prints one JSON line: examples/s, the first losses, peak memory. MLX gets the fast BLAS that
mlx-lm would not find by itself.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import sys
import types
from typing import Any

from distill.mlx import blas

MARK = '{"examples_per_second"'  # how the line begins that is printed


def main() -> None:
    wish, threads, compiled = json.loads(sys.argv[1]), int(sys.argv[2]), bool(int(sys.argv[3]))
    if not compiled:
        os.putenv("MLX_DISABLE_COMPILE", "1")
    blas.prepare(threads=threads)
    import numpy as np
    from mlx_lm import load, lora
    from mlx_lm.tuner.callbacks import TrainingCallback
    from mlx_lm.tuner.datasets import load_dataset

    told: list[dict[str, Any]] = []

    class Listener(TrainingCallback):  # type: ignore[misc]
        def on_train_loss_report(self, train_info: dict[str, Any]) -> None:
            told.append(train_info)

    args = types.SimpleNamespace(
        **{
            **lora.CONFIG_DEFAULTS,
            **wish,
            "train": True,
            "steps_per_report": 1,
            "val_batches": 0,
            "steps_per_eval": 10**9,
        }
    )
    np.random.seed(args.seed)
    model, tokenizer = load(args.model)
    train_set, _, _ = load_dataset(args, tokenizer)
    lora.train_model(args, model, train_set, [], Listener())
    seconds = [1 / one["iterations_per_second"] for one in told]
    found = {
        "examples_per_second": round(args.batch_size / statistics.median(seconds[1:] or seconds), 4),
        "first_losses": [one["train_loss"] for one in told],
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }
    sys.stdout.write("\n" + json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
