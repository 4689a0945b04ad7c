"""The adapters of one base, kept resident, and which of them is in place.

An adapter's wrapped layers hold the base's own linear layers, so a switch exchanges references in the layer tree and
copies no weights; with no adapter in place the model is the base itself, to the bit. Belongs to the generation thread.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import mlx.nn as nn
from mlx_lm.tuner.lora import LoRALinear

from distill.mlx import lora


@dataclass(frozen=True, eq=False)
class Adapter:
    """A loaded adapter. `digest` names its content; `layers` take the place of the base's of the same path."""

    name: str
    folder: Path
    digest: str
    layers: list[tuple[str, LoRALinear]]


class Switch:
    """The model and the adapter that is in place; None: the bare base."""

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self.active: Adapter | None = None

    def load(self, name: str, folder: Path) -> Adapter:
        """Read an adapter and try it on the base; what is in place stays so. Raises AdapterError with the reason."""
        weights = lora.read(folder)
        before = self.active
        self.activate(None)
        try:
            lora.attach(self._model, weights)
            layers = lora.lora_layers(self._model)
            lora.detach(self._model)
        finally:
            self.activate(before)
        return Adapter(name, folder, weights.digest, layers)

    def activate(self, adapter: Adapter | None) -> None:
        if adapter is self.active:
            return
        if self.active is not None:
            lora.detach(self._model)
        if adapter is not None:
            lora.rewrap(self._model, adapter.layers)
        self.active = adapter
