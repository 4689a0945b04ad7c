"""`python -m distill.train FOLDER [PARENT]`: train the run that run.json in FOLDER describes, telling steps on stdout.

A process of its own, so that its memory goes back to the system with it. Ends with result.json in the folder, or
early when the process PARENT is gone.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from distill.mlx import blas


def main() -> int:
    folder = Path(sys.argv[1])
    parent = int(sys.argv[2]) if len(sys.argv) > 2 else os.getppid()
    blas.prepare(threads=1)  # a batch is divided over two streams instead
    os.putenv("MLX_BFS_MAX_WIDTH", "100")  # wide enough that both streams always have something to do

    from distill.errors import DistillError
    from distill.train.run import Step, read_order, train

    def report(step: Step) -> None:
        if os.getppid() != parent:
            sys.exit("the night that ordered this run is gone")
        sys.stdout.write(
            json.dumps({"step": step.step, "steps": step.steps, "loss": step.loss, "seconds": step.seconds}) + "\n"
        )
        sys.stdout.flush()

    try:
        result = train(read_order(folder), folder, report)
    except DistillError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    partial = folder / "result.json.partial"
    partial.write_text(json.dumps(result, indent=2))
    partial.rename(folder / "result.json")
    return 0


if __name__ == "__main__":
    sys.exit(main())
