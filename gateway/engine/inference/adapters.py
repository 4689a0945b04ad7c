"""The adapters of one base, several at work in one forward pass, each row of a batch with its own.

Owns the wrapped layers: every linear layer that some adapter changes adds, row by row, what that row's adapter says;
the base's weights are shared and never touched, and a row without one gets the base's result to the bit. Which adapter
applies to which row is told by `applied` around a forward pass. Source of the arithmetic: LoRA (Hu et al. 2021),
y = Wx + scale · B(Ax); of grouping rows by adapter: Punica (Chen et al. 2023).
Knows nothing of jobs or of where adapters come from.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx.nn as nn
from mlx.utils import tree_unflatten

from distill.errors import AdapterError
from distill.mlx import lora
from distill.mlx.cpu import on_cpu

_DORA = (
    "this adapter is DoRA, which scales the base's own rows and cannot be served beside other adapters: make a model "
    "of it with `nightschool adapters export --to fused`, and serve that"
)

Delta = tuple[mx.array, mx.array, float]  # A (in, rank), B (rank, out) and the scale


@dataclass(frozen=True, eq=False)
class Adapter:
    """A loaded adapter: `digest` names its content, `deltas` what it adds to the layer of each name."""

    name: str
    folder: Path
    digest: str
    deltas: dict[str, Delta]


class _Applied:
    """What applies to the rows of the forward pass under way."""

    groups: Sequence[tuple[Adapter | None, mx.array | None]] = ()  # each adapter and its rows; None: all of them
    back: mx.array | None = None  # puts the rows of all groups, one after the other, in order again


class AdapterLinear(nn.Module):  # type: ignore[misc]  # MLX's modules are untyped
    """A linear layer of the base and what adapters add to it."""

    def __init__(self, base: nn.Module, name: str, applied: _Applied) -> None:
        super().__init__()
        self.base = base
        self._name = name
        self._applied = applied

    def __call__(self, x: mx.array) -> mx.array:
        y: mx.array = self.base(x)
        groups = self._applied.groups
        if not any(adapter and self._name in adapter.deltas for adapter, _ in groups):
            return y
        added = [self._added(x, y, adapter, rows) for adapter, rows in groups]
        return added[0] if self._applied.back is None else mx.concatenate(added)[self._applied.back]

    def _added(self, x: mx.array, y: mx.array, adapter: Adapter | None, rows: mx.array | None) -> mx.array:
        if rows is not None:
            x, y = x[rows], y[rows]
        delta = adapter.deltas.get(self._name) if adapter else None
        if delta is None:
            return y
        a, b, scale = delta
        return y + (scale * ((x @ a) @ b)).astype(y.dtype)


class AdapterLayers:
    """The layers of one model that adapters change. Belongs to the generation thread."""

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._applied = _Applied()
        self._wrapped: set[str] = set()

    def wrap(self, adapter: Adapter) -> None:
        """Make the layers that the adapter changes ready for it."""
        modules = dict(self._model.named_modules())
        new = {name: modules[name] for name in adapter.deltas.keys() - self._wrapped}
        wrapped = [(name, AdapterLinear(module, name, self._applied)) for name, module in new.items()]
        self._model.update_modules(tree_unflatten(wrapped))
        self._wrapped |= new.keys()

    @contextmanager
    def applied(self, rows: Sequence[Adapter | None]) -> Iterator[None]:
        """While this holds, adapter `rows[i]` applies to row i of each forward pass; None: the bare base."""
        self._applied.groups, self._applied.back = _grouped(rows)
        try:
            yield
        finally:
            self._applied.groups, self._applied.back = (), None


def _grouped(
    rows: Sequence[Adapter | None],
) -> tuple[list[tuple[Adapter | None, mx.array | None]], mx.array | None]:
    """The rows of each adapter, and the order that undoes the grouping; one group needs no order."""
    members: dict[Adapter | None, list[int]] = {}
    for i, adapter in enumerate(rows):
        members.setdefault(adapter, []).append(i)
    if len(members) == 1:
        return [(next(iter(members)), None)], None
    order = [i for group in members.values() for i in group]
    back = mx.array(sorted(range(len(order)), key=order.__getitem__))
    return [(adapter, mx.array(group)) for adapter, group in members.items()], back


class Fitting:
    """Reads adapters and tries them on a copy of the model that has shapes but no weights in memory.

    Nothing that runs is touched, so an adapter is read, checked and refused beside requests under way. One at a time,
    which is the caller's to see to.
    """

    def __init__(self, skeleton: nn.Module) -> None:
        self._skeleton = skeleton

    def read(self, name: str, folder: Path) -> Adapter:
        """An adapter with its weights in memory. Raises AdapterError with the reason why it does not fit."""
        with mx.stream(mx.new_thread_local_stream(mx.cpu)):
            try:
                weights = lora.read(folder)
                if lora.kind_of(weights.config) == "dora":
                    raise AdapterError(_DORA)
                lora.fit(self._skeleton, weights)
                scale = float(weights.config["lora_parameters"]["scale"])
                return Adapter(name, folder, weights.digest, _deltas(weights.tensors, scale))
            finally:
                mx.clear_streams()


def _deltas(tensors: dict[str, mx.array], scale: float) -> dict[str, Delta]:
    as_computed: dict[str, Any] = {name: t.astype(mx.float32) if on_cpu() else t for name, t in tensors.items()}
    mx.eval(as_computed)
    lora.check_finite(as_computed)
    names = {name.removesuffix(".lora_a").removesuffix(".lora_b") for name in tensors}
    return {name: (as_computed[f"{name}.lora_a"], as_computed[f"{name}.lora_b"], scale) for name in names}
