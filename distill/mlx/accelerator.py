"""What MLX finds on this machine, as one line of JSON: `python -m distill.mlx.accelerator`.

A process of its own for those who must not import MLX. Owns the question which device computes and how much memory it
may take; knows nothing of models.
"""

from __future__ import annotations

import json
import os
import sys
from importlib import metadata
from typing import Any

from distill.mlx import blas


def describe() -> dict[str, Any]:
    """Device kind ("metal", "cuda" or "cpu"), its name, its working set in bytes (0: not known), BLAS and versions."""
    found = blas.prepare(1)
    import mlx.core as mx  # only now: the BLAS comes first

    kind = "metal" if mx.metal.is_available() else "cuda" if mx.cuda.is_available() else "cpu"
    info = mx.device_info()
    working_set = info.get("max_recommended_working_set_size") or info.get("total_memory") or info.get("memory_size")
    return {
        "kind": kind,
        "name": str(info.get("device_name", "")),
        "working_set": int(working_set or 0) if kind != "cpu" else 0,
        "blas": found,
        "mlx": metadata.version("mlx"),
        "mlx_lm": metadata.version("mlx-lm"),
    }


def main() -> None:
    """Print what was found and leave at once, before MLX's threads are wound down."""
    sys.stdout.write(json.dumps(describe()) + "\n")
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
