"""The processes that train one run together: each takes a share of every batch. One process is a group of its own.

Started by `mlx.launch`, which tells MLX who else there is. Knows nothing of models.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import mlx.core as mx
from mlx.utils import tree_map


class Group:
    """This process and the others. `leads` is true for one of them, which alone writes files and reports."""

    def __init__(self) -> None:
        self._group = mx.distributed.init()
        self.leads = self._group.rank() == 0
        self.size = self._group.size()

    def share(self, batch: Sequence[int]) -> Sequence[int]:
        """This process's part of a batch: neighbours, as they have most in common."""
        rank = self._group.rank()
        return batch[rank * len(batch) // self.size : (rank + 1) * len(batch) // self.size]

    def wait(self) -> None:
        """Until all others are here, too."""
        mx.eval(mx.distributed.all_sum(mx.zeros(1), group=self._group))

    def summed(self, found: tuple[mx.array, Any]) -> tuple[mx.array, Any]:
        """Loss and gradients of all processes together."""
        if self.size == 1:
            return found
        total: tuple[mx.array, Any] = tree_map(lambda array: mx.distributed.all_sum(array, group=self._group), found)
        return total
