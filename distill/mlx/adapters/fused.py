"""A model of its own: the adapter merged into its base's weights, in float32.

Owns the merge. It is never quantised again: what an adapter adds to a weight is mostly smaller than a step of four
bits, and would be rounded away. Whoever wants a smaller model converts this one. Knows nothing of where it goes.
"""

from __future__ import annotations

from pathlib import Path

from mlx.utils import tree_map, tree_unflatten
from mlx_lm.utils import dequantize_model, load_model

from distill.mlx import lora
from distill.mlx.adapters.base import Base
from distill.mlx.convert import save, write_card
from distill.mlx.load import as_float32
from distill.mlx.lora import AdapterWeights


def write(adapter: AdapterWeights, base: Base, folder: Path) -> None:
    """Write the whole model into an existing folder, in mlx-lm's layout, which is Hugging Face's for most families."""
    model, config = load_model(base.folder, lazy=True)
    model = dequantize_model(model)
    model.update(tree_map(as_float32, model.parameters()))
    wide = {name: as_float32(tensor) for name, tensor in adapter.tensors.items()}
    lora.attach(model, AdapterWeights(adapter.digest, adapter.config, wide))
    fused = [(name, layer.fuse(dequantize=True)) for name, layer in lora.lora_layers(model)]
    model.update_modules(tree_unflatten(fused))
    for key in ("quantization", "quantization_config"):
        config.pop(key, None)
    config["torch_dtype"] = "float32"
    save(model, config, base.folder, folder)
    write_card(base.folder, folder, {"adapter_digest": adapter.digest, "bits": 32})
