"""Candidates: which adapters a night trains, from what, and how far its time goes. Knows nothing of examinations.

An adapter that serves is trained further on what is new, with as much that is old, at a third of the rate, for one
epoch; from time to time, and as long as none serves, one is trained from the base on everything, since small steps
drift (both are usual; which of them is better is for the examination to say).
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from distill import trainer
from distill.dataset import Dataset
from distill.naming import is_one
from distill.night.diary import read_learnt
from distill.night.settings import NightError, NightOver, NightSettings
from distill.publishing import CARD
from distill.train.order import Order, base_digest, name_of, ordered, write_order
from distill.train.recipe import Recipe, recipe_of
from distill.train.record import RESULT, Estimate, Step

_COOLER = 3.0  # times lower is the rate of an adapter that is trained further
_LEAST_STEPS = 0.2  # of a run: with fewer it is not begun


class Served(msgspec.Struct, frozen=True):
    """The adapter that serves: its name, its folder, and what its card says."""

    name: str
    folder: Path
    card: dict[str, Any]

    def learnt(self, nights: Path) -> frozenset[str]:
        """The traces that the night which made it had to learn from; none where nobody knows."""
        return read_learnt(nights, str(self.card.get("night") or ""))


def served(models: Path, name: str, base: Path) -> Served | None:
    """What serves, by its name. None where that is the base, its folder is gone, or it was trained from another base
    than the one in that folder: another student begins anew. Raises OSError for a base that cannot be read."""
    folder = models / "adapters" / name
    if not is_one(name) or not (folder / "adapters.safetensors").is_file():
        return None
    try:
        card = json.loads((folder / CARD).read_bytes())
    except (OSError, ValueError):
        card = {}
    card = card if isinstance(card, dict) else {}
    if card.get("base", base.name) != base.name:
        return None
    if (digest := card.get("base_digest")) and digest != base_digest(base):
        return None
    return Served(folder.name, folder, card)


def nightly_recipe(fields: dict[str, Any]) -> Recipe:
    """The default recipe with these fields. Raises NightError for one that no night can train by."""
    recipe = recipe_of(fields)
    if recipe.kind == "dora":
        raise NightError("a night's adapter is served beside others, which DoRA cannot be: night.recipe kind = 'lora'")
    if recipe.soft:
        raise NightError(
            "a night learns from the teacher's answers alone, not from its probabilities: night.recipe soft = 0, or "
            "`nightschool train` with a teacher's model"
        )
    return recipe


def orders(
    settings: NightSettings, recipe: Recipe, whole: Dataset, fresh: Dataset | None, old: Served | None, from_base: bool
) -> list[Order]:
    """What is trained, the surer one first. `from_base`: whether one from the base is due."""
    found = []
    if old is not None and fresh is not None and _fits(old, recipe):
        found.append(Order(str(settings.base), fresh.folder, _further(recipe), warm=str(old.folder)))
    if from_base or not found:
        found.append(Order(str(settings.base), whole.folder, recipe))
    return [ordered(msgspec.structs.replace(one, memory=settings.lease_bytes)) for one in found]


def folder_of(models: Path, order: Order) -> Path:
    return models / "runs" / name_of(order)


async def in_time(order: Order, settings: NightSettings, reserve: float) -> Order:
    """The order with as many steps as there is time for before the deadline, `reserve` seconds of which are for what
    comes after. Raises NightOver where that is too little, TrainerError."""
    if settings.deadline is None:
        return order
    found = await estimated(order)
    left = settings.deadline - time.time() - reserve - found.start_seconds - found.look_seconds
    steps = min(found.steps, int(left / max(found.step_seconds / max(found.steps, 1), 1e-9)))
    if steps < max(1, _LEAST_STEPS * found.steps):
        raise NightOver(
            "nothing",
            f"there is no time to train: {max(0, steps)} of {found.steps} steps fit before the night has to be over",
        )
    return order if steps >= found.steps else msgspec.structs.replace(order, steps=steps)


async def train(order: Order, folder: Path, report: Callable[[Step], object]) -> None:
    """Trained in a process of its own, unless the run is there already. Raises TrainerError."""
    if not (folder / RESULT).exists():
        write_order(order, folder)
        await trainer.train(folder, report)


async def estimated(order: Order) -> Estimate:
    """What a run would take, measured on a few of its batches. Raises TrainerError."""
    with tempfile.TemporaryDirectory(prefix="nightschool-") as work:
        await asyncio.to_thread(write_order, order, Path(work))
        return await trainer.estimate(Path(work))


def _fits(old: Served, recipe: Recipe) -> bool:
    """Whether an adapter has the shapes that the recipe gives one, and counts as much."""
    made = old.card.get("recipe")
    return isinstance(made, dict) and all(
        made.get(name) == getattr(recipe, name) for name in ("kind", "rank", "scale", "layers")
    )


def nothing_new(old: Served | None, recipe: Recipe, new: int) -> str:
    """Why so many new conversations are not worth a training, in words; "" where they are."""
    if old is None or new >= recipe.batch or not made_by(old, recipe):
        return ""
    came = f"{new} conversations, less than a batch," if new else "nothing"
    return f"{came} came since {old.name} was made that may be learnt"


def made_by(old: Served, recipe: Recipe) -> bool:
    """Whether the recipe is the one by which an adapter was made, so that only new traces could make another."""
    made, wanted = old.card.get("recipe"), _further(recipe) if old.card.get("parent") else recipe
    fields = msgspec.to_builtins(wanted)
    return isinstance(made, dict) and all(made.get(name) == value for name, value in fields.items())


def _further(recipe: Recipe) -> Recipe:
    """The recipe by which an adapter is trained further."""
    return msgspec.structs.replace(recipe, learning_rate=recipe.learning_rate / _COOLER, epochs=1.0)
