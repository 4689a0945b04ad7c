"""Order: what a run is to do, as run.json in its folder. Owns what is needed to repeat a run; loads no model."""

from __future__ import annotations

import hashlib
import json
from importlib import metadata
from pathlib import Path

import msgspec

from distill.atomic import write_atomically
from distill.digest import file_digest
from distill.errors import DatasetError
from distill.train.recipe import Recipe

FILE = "run.json"
_PACKAGES = ("nightschool", "mlx", "mlx-lm")


class Order(msgspec.Struct, frozen=True):
    """`base` and `dataset` are folders; the digests say what was in them. `steps` ends a run before the recipe's epochs
    do, and `warm` names an adapter's folder to start from. `teacher` is the folder of the model whose probabilities a
    recipe with `soft` learns from, `teacher_adapter` that of the adapter it wears. `memory` are the bytes to make do
    with, 0: not known."""

    base: str
    dataset: str
    recipe: Recipe
    steps: int | None = None
    warm: str = ""
    teacher: str = ""
    teacher_adapter: str = ""
    memory: int = 0
    base_digest: str = ""
    dataset_digest: str = ""
    versions: dict[str, str] = {}


def ordered(order: Order) -> Order:
    """The order with digests and versions of what is there now. Raises DatasetError for what is not there."""
    return msgspec.structs.replace(
        order,
        base_digest=content_of(Path(order.base), "*.safetensors"),
        dataset_digest=content_of(Path(order.dataset), "*.jsonl"),
        versions={name: metadata.version(name) for name in _PACKAGES},
    )


def content_of(folder: Path, pattern: str) -> str:
    """A digest of the folder's files of a kind, "" for none."""
    files = sorted(folder.glob(pattern))
    if not files:
        return ""
    told = hashlib.sha256()
    for file in files:
        told.update(f"{file.name} {file_digest(file)}\n".encode())
    return told.hexdigest()


def name_of(order: Order) -> str:
    """What a run's folder is called: a digest of all that decides its outcome, wherever base and dataset lie."""
    told = msgspec.structs.replace(order, base=Path(order.base).name, dataset="", memory=0, versions={})
    return hashlib.sha256(msgspec.json.encode(told)).hexdigest()[:16]


def write_order(order: Order, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / FILE, json.dumps(msgspec.to_builtins(order), indent=2).encode())


def read_order(folder: Path) -> Order:
    """Raises DatasetError for a file that is missing or makes no sense."""
    try:
        return msgspec.json.decode((folder / FILE).read_bytes(), type=Order)
    except (OSError, ValueError) as error:
        raise DatasetError(f"{folder / FILE} cannot be read: {error}") from error
