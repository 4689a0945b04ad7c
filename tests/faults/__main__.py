"""`python -m tests.faults`: meet every fault on every wire and write the tables of docs/faults.md."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tests.faults.table import PAGE, staged, written

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as home, staged(Path(home)) as stage:
        PAGE.write_text(written(stage, PAGE.read_text(encoding="utf-8")), encoding="utf-8")
