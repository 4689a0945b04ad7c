"""`python -m distill.train FOLDER [PARENT [measure]]`: train the run that run.json in FOLDER describes, telling steps
on stdout; with `measure`, tell in one line what it would take, and train nothing.

A process of its own, so that its memory goes back to the system with it. Ends with result.json in the folder, or
early when the process PARENT is gone.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path

import msgspec

from distill.mlx import blas


def _leave_with(parent: int) -> None:
    """End when who ordered this run is gone, in the midst of a step if need be: the next start goes on at a
    checkpoint."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os.write(2, b"who ordered this run is gone\n")
    os._exit(1)


def main() -> int:
    folder = Path(sys.argv[1])
    parent = int(sys.argv[2]) if len(sys.argv) > 2 else os.getppid()
    blas.prepare(threads=1)  # a batch is divided over two streams instead
    os.putenv("MLX_BFS_MAX_WIDTH", "100")  # wide enough that both streams always have something to do

    from distill.errors import DistillError
    from distill.train.measuring import measure
    from distill.train.order import read_order
    from distill.train.run import train

    threading.Thread(target=_leave_with, args=(parent,), daemon=True).start()

    def report(told: msgspec.Struct) -> None:
        sys.stdout.write(msgspec.json.encode(told).decode() + "\n")
        sys.stdout.flush()

    try:
        if sys.argv[3:] == ["measure"]:
            report(measure(read_order(folder)))
        else:
            train(read_order(folder), folder, report)
    except (DistillError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
