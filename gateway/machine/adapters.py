"""Which folders an adapter's name and its base's mean. Knows nothing of what is in them, and loads no MLX."""

from __future__ import annotations

import json
from pathlib import Path

from gateway import settings
from gateway.errors import StartError
from gateway.machine.naming import is_name
from gateway.settings import Home


def adapter_folder(adapter: str, models: Path) -> Path:
    """The folder of an adapter, by its name under models/adapters or a path. Raises StartError for neither."""
    own = models / "adapters"
    if is_name(adapter) and (own / adapter).is_dir():
        return own / adapter
    if Path(adapter).is_dir():
        return Path(adapter).resolve()
    known = ", ".join(sorted(path.parent.name for path in own.glob("*/adapters.safetensors"))) or "none"
    raise StartError(f"there is no adapter folder '{adapter}', nor one of that name in {own}; there are {known}")


def base_folder(named: str, adapter: Path, student: str, home: Home) -> Path:
    """The model folder of an adapter's base: the one that is named, else what the adapter's card says, else the
    student of the settings. Raises StartError or SettingsError where there is none."""
    model = named or _of_card(adapter, home) or student
    if not model:
        raise StartError(f"nothing says which model {adapter} is for: name it with --base")
    return settings.require_model(model, home)


def new_adapter(name: str, models: Path) -> Path:
    """Where an adapter of that name goes. Raises StartError for what is no name."""
    if not is_name(name):
        raise StartError(f"'{name}' is no name for an adapter, which is letters, digits, '.', '_' and '-': use --name")
    return models / "adapters" / name


def _of_card(adapter: Path, home: Home) -> str:
    """The base that the adapter's card names, "" where there is no card, or none that names a model that is here.

    A name only, never a path: the card came with the adapter.
    """
    try:
        base = json.loads((adapter / "card.json").read_text())["base"]
    except (OSError, ValueError, RecursionError, KeyError, TypeError):
        return ""
    here = isinstance(base, str) and is_name(base) and (base in settings.catalog() or (home.models / base).is_dir())
    return str(base) if here else ""
