"""Recipe: how an adapter is trained. Owns settings, presets and their warnings; knows nothing of data or models.

The defaults follow research on LoRA for agents: every linear layer is adapted, and the learning rate times the scale is
what counts. mlx-lm's own default scale of 20 is ten times hotter than the field's.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from distill.errors import DatasetError

HOT = 1e-3  # learning rate times scale: above, adapters of large models have been seen to collapse
COLD = 1e-5  # below, nothing moves in a night

PRESETS: dict[str, dict[str, Any]] = {
    "default": {},
    # what `mlx_lm.lora --iters 1000 --batch-size 4 --lora-layers 16` with a rate of 1e-4 does
    "plan": {
        "layers": 16,
        "rank": 16,
        "scale": 20.0,
        "learning_rate": 1e-4,
        "batch": 4,
        "epochs": 1.0,
        "warmup": 0.0,
        "decay": "constant",
        "clip": 0.0,
        "patience": 0,
    },
}


class Recipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`layers` counts blocks from the top, 0: all; `batch` is in conversations; `warmup` is a share of the steps;
    `clip` is the longest gradient, 0: any; conversations over `max_tokens` are left out. `thoughts` is what becomes of
    words that the assistant says before its calls. Every `look` epochs the conversations kept apart are looked at, and
    after `patience` looks that bring nothing the run ends, 0: never; what is left is the adapter of the best look.
    `soft` is the weight of a teacher's probabilities in the loss, of its `top` likeliest tokens."""

    kind: Literal["lora", "dora"] = "lora"
    rank: int = 16
    scale: float = 2.0
    dropout: float = 0.0
    layers: int = 16
    learning_rate: float = 1e-4
    decay: Literal["cosine", "constant"] = "cosine"
    epochs: float = 2.0
    batch: int = 16
    warmup: float = 0.05
    clip: float = 1.0
    weight_decay: float = 0.0
    max_tokens: int = 4096
    thoughts: Literal["keep", "drop"] = "drop"
    look: float = 0.5
    patience: int = 2
    checkpoint: int = 20
    soft: float = 0.0
    top: int = 64
    seed: int = 0


def recipe_of(changes: dict[str, Any], preset: str = "default") -> Recipe:
    """A preset with some fields changed. Raises DatasetError naming what makes no sense."""
    if preset not in PRESETS:
        raise DatasetError(f"there is no preset '{preset}': {', '.join(PRESETS)}")
    try:
        recipe = msgspec.convert({**PRESETS[preset], **changes}, Recipe)
    except msgspec.ValidationError as error:
        raise DatasetError(f"the recipe makes no sense: {error}") from error
    for name in ("rank", "batch", "max_tokens", "checkpoint", "top"):
        if getattr(recipe, name) < 1:
            raise DatasetError(f"the recipe makes no sense: {name} is {getattr(recipe, name)}, and at least 1 is meant")
    for name in ("learning_rate", "scale", "epochs", "look"):
        value = getattr(recipe, name)
        if not value > 0:
            raise DatasetError(f"the recipe makes no sense: {name} is {value}, and more than 0 is meant")
    if recipe.layers < 0 or not 0 <= recipe.soft <= 1:
        raise DatasetError("the recipe makes no sense: layers ≥ 0 and soft in [0, 1] are meant")
    if not 0 <= recipe.warmup < 1 or not 0 <= recipe.dropout < 1:
        raise DatasetError("the recipe makes no sense: warmup and dropout in [0, 1) are meant")
    return recipe


def warnings(recipe: Recipe) -> list[str]:
    """What the field would not do, in words."""
    heat = recipe.learning_rate * recipe.scale
    if heat > HOT:
        return [
            f"learning_rate × scale is {heat:.2g}, over {HOT:g}: large models lose what they know at that heat. "
            f"With this scale, {HOT / recipe.scale:.1g} is the most that is usual"
        ]
    if heat < COLD:
        return [f"learning_rate × scale is {heat:.2g}, under {COLD:g}: little will be learnt"]
    return []
