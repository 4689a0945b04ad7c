"""What a person wants trained, made into orders. Owns where a dataset, a base or an adapter is looked for, and that
what makes no sense is told before anything is started. Loads no model.
"""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from distill.dataset import newest
from distill.publishing import CARD
from distill.train.order import Order, ordered
from distill.train.recipe import Recipe, recipe_of
from gateway.errors import SettingsError
from gateway.sections import Settings
from gateway.settings import Home, made_model, require_model

_ADAPTER = "adapter_config.json"
_MOST = 64  # runs of one sweep


class Wish(msgspec.Struct, frozen=True):
    """What a person wants. Empty fields say nothing; `changes` and `sweep` are written as field=value and
    field=value,value. `memory` is in bytes, 0: what the machine has."""

    data: str = ""
    base: str = ""
    preset: str = "default"
    changes: tuple[str, ...] = ()
    sweep: tuple[str, ...] = ()
    steps: int | None = None
    warm: str = ""
    teacher: str = ""
    out: Path | None = None
    memory: int = 0


class Tried(NamedTuple):
    """One order of a sweep, and the fields in which it differs from the others."""

    order: Order
    fields: dict[str, Any]


def order_of(wish: Wish, settings: Settings, home: Home) -> Order:
    """The order, with digests of what is there now. Raises SettingsError or DatasetError for what makes no sense."""
    return _ordered(wish, _changes(wish.changes), settings, home)


def orders_of(wish: Wish, settings: Settings, home: Home) -> list[Tried]:
    """An order for every combination of what is swept. Raises as `order_of` does."""
    axes = _axes(wish.sweep)
    combinations = [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]
    if len(combinations) > _MOST:
        raise SettingsError(f"--sweep asks for {len(combinations)} runs, and {_MOST} are the most: try fewer values")
    fixed = _changes(wish.changes)
    if twice := sorted(fixed.keys() & axes.keys()):
        raise SettingsError(f"{', '.join(twice)} is in --set and in --sweep: leave it out of one")
    first = _ordered(wish, {**fixed, **combinations[0]}, settings, home)
    _check_kept_apart(Path(first.dataset))
    return [Tried(_with(first, wish, {**fixed, **fields}), fields) for fields in combinations]


def _ordered(wish: Wish, changes: dict[str, Any], settings: Settings, home: Home) -> Order:
    recipe = recipe_of(changes, wish.preset)
    data = _dataset(wish.data, home)
    model = wish.base or settings.student.model
    if not model:
        raise SettingsError("there is no base to train: say --base, or set student.model")
    base = made_model(require_model(model, home))
    warm = _warm(wish.warm, base, home) if wish.warm else None
    order = Order(str(base), str(data), recipe, wish.steps, warm=str(warm or ""), memory=wish.memory)
    if wish.teacher:
        order = msgspec.structs.replace(order, teacher=str(require_model(wish.teacher, home)))
    elif recipe.soft:
        raise SettingsError("the recipe learns from a teacher's probabilities (soft): say --teacher, or set soft to 0")
    return ordered(_with(order, wish, changes))


def _with(order: Order, wish: Wish, changes: dict[str, Any]) -> Order:
    """The order with a recipe of these changes, or of those with which the adapter that it starts from was made."""
    if not order.warm:
        return msgspec.structs.replace(order, recipe=recipe_of(changes, wish.preset))
    made = _made_with(Path(order.warm))
    for field, value in made.items():
        if changes.get(field, value) != value:
            raise SettingsError(
                f"--from {order.warm} has {field} {value}, and the run would have {changes[field]}: leave it out"
            )
    return msgspec.structs.replace(order, recipe=recipe_of({**changes, **made}, wish.preset))


def _dataset(data: str, home: Home) -> Path:
    """A folder by its path, or a dataset by its name; the newest where none is named."""
    datasets = home.data / "datasets"
    if not data:
        found = newest(datasets, 1)
        if not found:
            raise SettingsError(f"there is no dataset in {datasets} yet: a night makes one, or say --data FOLDER")
        return found[0]
    folder = next((place for place in (Path(data), datasets / data) if place.is_dir()), None)
    if folder is None:
        raise SettingsError(f"there is no dataset '{data}': --data wants a folder with train.jsonl")
    if not (folder / "train.jsonl").is_file():
        raise SettingsError(f"there is no train.jsonl in {folder}: a dataset is a folder that holds one")
    return folder.resolve()


def _check_kept_apart(dataset: Path) -> None:
    apart = dataset / "valid.jsonl"
    if not apart.is_file() or not apart.stat().st_size:
        raise SettingsError(f"a sweep is judged by what is kept apart, and {dataset} has no valid.jsonl: add one")


def _warm(name: str, base: Path, home: Home) -> Path:
    """An adapter's folder by its path or its name, made for this base as far as its card tells."""
    places = (Path(name), home.models / "adapters" / name)
    folder = next((place for place in places if (place / _ADAPTER).is_file()), None)
    if folder is None:
        raise SettingsError(f"there is no adapter '{name}': --from wants a folder, or a name of models/adapters")
    made_for = _json(folder / CARD).get("base") if (folder / CARD).exists() else None
    if made_for not in (None, base.name):
        raise SettingsError(f"the adapter '{name}' was made for the base {made_for}, not for {base.name}")
    return folder.resolve()


def _made_with(adapter: Path) -> dict[str, Any]:
    """The fields of a recipe that an adapter settles."""
    config = _json(adapter / _ADAPTER)
    try:
        parameters = config["lora_parameters"]
        return {"layers": config["num_layers"], "rank": parameters["rank"], "scale": parameters["scale"]}
    except (KeyError, TypeError) as error:
        raise SettingsError(f"{adapter / _ADAPTER} does not tell rank, scale and layers") from error


def _json(path: Path) -> dict[str, Any]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except (OSError, ValueError, RecursionError) as error:
        raise SettingsError(f"{path} cannot be read: {error}") from error


def _changes(written: Sequence[str]) -> dict[str, Any]:
    return {field: _value(value) for field, value in _fields(written, "--set").items()}


def _axes(written: Sequence[str]) -> dict[str, list[Any]]:
    """The values to try, by field."""
    words = [word for one in written for word in one.split()]
    return {
        field: list(dict.fromkeys(_value(value) for value in values.split(",")))
        for field, values in _fields(words, "--sweep").items()
    }


def _fields(written: Sequence[str], option: str) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for one in written:
        field, equals, value = one.partition("=")
        if not equals or not value:
            raise SettingsError(f"{option} wants field=value, not '{one}'")
        if field not in Recipe.__struct_fields__:
            near = difflib.get_close_matches(field, Recipe.__struct_fields__, n=1, cutoff=0.0)
            raise SettingsError(f"the recipe has no field '{field}' (did you mean '{near[0]}'?)")
        if field in found:
            raise SettingsError(f"{option} names {field} twice")
        found[field] = value
    return found


def _value(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except ValueError:
        return text
