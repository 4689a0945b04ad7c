"""Publishing: a finished run's adapter under models/adapters, named after its base and content, with its card.

Owns the names and card.json. Knows nothing of training, examining or serving.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec

from distill.atomic import settle, write_atomically
from distill.errors import DatasetError
from distill.gate import Verdict
from distill.train.order import read_order
from distill.train.record import ADAPTER, read_result

CARD = "card.json"


def publish(models: Path, run: Path) -> tuple[str, Path]:
    """The adapter's name and folder; it is there whole or not at all. Raises DatasetError for a run that is not
    finished."""
    result = read_result(run)
    if result is None:
        raise DatasetError(f"the run in {run} is not finished")
    name = f"{Path(read_order(run).base).name}-{result['adapter_digest'][:12]}"
    folder = models / "adapters" / name
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = folder.with_name(f".{name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(run / ADAPTER, partial)
        settle(partial)
        partial.rename(folder)
    return name, folder


def write_card(folder: Path, run: Path, verdict: Verdict | None, night: str = "") -> None:
    """card.json: where the adapter comes from and what is known of it. `parent` is the adapter that it was trained from
    further, "" for the base; `night` is the one that made it, whose folder tells what it learnt from, "" for none. A
    card with a verdict is not replaced by one without."""
    if verdict is None and (folder / CARD).exists():
        return
    order = read_order(run)
    card = {
        "name": folder.name,
        "base": Path(order.base).name,
        "base_digest": order.base_digest,
        "dataset": Path(order.dataset).name,
        "run": run.name,
        "parent": Path(order.warm).name if order.warm else "",
        "night": night,
        "recipe": msgspec.to_builtins(order.recipe),
        "certificate": None,
        "verdict": msgspec.to_builtins(verdict),
    }
    write_atomically(folder / CARD, msgspec.json.format(msgspec.json.encode(card), indent=2))
