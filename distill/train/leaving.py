"""What a run leaves: an adapter on disk that is known to work. Owns the checks that come before it gets its name.

Adapters that change nothing, lose tensors on their way to the disk, or are read back as something else have all been
shipped by trainers whose loss curves looked healthy.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx.nn as nn

from distill.atomic import settle
from distill.errors import DatasetError
from distill.mlx import lora
from distill.train.tokens import Tokens
from distill.unfinished import unfinished

_TOKENS = 64  # that the logits are compared over


class DeadAdapter(DatasetError):
    """The trained adapter does not do what it should."""


def leave(
    model: nn.Module, tensors: Mapping[str, mx.array], config: Mapping[str, Any], place: Path, example: Tokens
) -> str:
    """Write the adapter to `place` and return its digest.

    Raises DeadAdapter where a tensor never moved, the logits of `example` are those of the base, or what is read back
    is not what was written.
    """
    model.eval()
    ids = mx.array(example.ids[:_TOKENS])[None]
    model.load_weights(list(tensors.items()), strict=False)
    worn = model(ids)
    _check_alive(model, tensors, ids, worn)
    with unfinished(place.parent) as work:
        digest = lora.write(work, tensors, config)
        back = lora.read(work).tensors
        if back.keys() != lora.adapter_tensors(model).keys():
            raise DeadAdapter("the adapter lost tensors on its way to the disk")
        model.load_weights(list(back.items()), strict=False)
        if not mx.array_equal(model(ids), worn):
            raise DeadAdapter("the adapter is read back as something else than was written")
        settle(work)
        shutil.rmtree(place, ignore_errors=True)
        work.rename(place)
    return digest


def _check_alive(model: nn.Module, tensors: Mapping[str, mx.array], ids: mx.array, worn: mx.array) -> None:
    still = [name for name, array in tensors.items() if name.endswith("lora_b") and not mx.any(array != 0).item()]
    if still:
        raise DeadAdapter(f"the trained adapter changes nothing: {len(still)} of its tensors never moved ({still[0]})")
    with lora.bare(model):
        base = model(ids)
    if mx.array_equal(base, worn):
        raise DeadAdapter("the trained adapter changes nothing: with it the logits are those of its base")
