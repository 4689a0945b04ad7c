"""Order: what a run is to do, as run.json in its folder. Owns what is needed to repeat a run; loads no model."""

from __future__ import annotations

import hashlib
import json
from importlib import metadata
from pathlib import Path

import msgspec

from distill.atomic import write_atomically
from distill.digest import files_digest
from distill.errors import DatasetError
from distill.machine import machine_memory
from distill.train.recipe import Recipe

FILE = "run.json"
_OF_MACHINE = 0.6  # the share of the machine's memory to make do with, where an order names none
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


def memory_of(order: Order) -> int:
    """The bytes that a run has to make do with."""
    return order.memory or int(_OF_MACHINE * machine_memory())


def most_memory(order: Order) -> int:
    """The bytes that a run may take at most: a model that is larger is refused."""
    return order.memory or machine_memory()


def ordered(order: Order) -> Order:
    """The order with digests and versions of what is there now. Raises OSError for a folder that is not."""
    return msgspec.structs.replace(
        order,
        base_digest=base_digest(Path(order.base)),
        dataset_digest=dataset_digest(Path(order.dataset)),
        versions={name: metadata.version(name) for name in _PACKAGES},
    )


def base_digest(folder: Path) -> str:
    """Of weights, configuration, tokenizer and template: another template makes other tokens."""
    return files_digest(folder, {".safetensors", ".json", ".jinja"})


def dataset_digest(folder: Path) -> str:
    return files_digest(folder, {".jsonl"})


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
