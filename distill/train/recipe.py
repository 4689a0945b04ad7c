"""Recipe: how an adapter is trained. Owns the settings and their defaults; knows nothing of data or models.

Rank, scale and layers follow research on LoRA for agents: every linear layer is adapted, and the learning rate times
the scale is what counts. mlx-lm's own default scale of 20 is ten times hotter than the field's.
"""

from __future__ import annotations

import msgspec


class Recipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`layers` counts blocks from the top; `batch` is in conversations; `warmup` is a share of the steps;
    conversations over `max_tokens` are left out."""

    rank: int = 16
    scale: float = 2.0
    layers: int = 16
    learning_rate: float = 1e-4
    epochs: float = 2.0
    batch: int = 16
    warmup: float = 0.05
    clip: float = 1.0
    weight_decay: float = 0.0
    max_tokens: int = 4096
    seed: int = 0
