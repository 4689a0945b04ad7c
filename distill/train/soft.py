"""What a teacher would have said, token by token: its likeliest tokens with their probabilities, and one bucket for all
others; and the loss that pulls a student there.

Owns the pass over a teacher that makes them, and their file. Both read the same token ids, so a teacher takes part only
where it shares the student's vocabulary. Knows nothing of loops or runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import mlx.core as mx
import numpy as np

from distill.errors import DatasetError
from distill.mlx import cpu
from distill.train.losses import Loss, cross_entropy, tell_each
from distill.train.tokens import Tokens

_LEAST = 1e-6  # a probability below which none is told from none


class SoftTargets:
    """For each learnt token of each example, in their order, the ids of the teacher's likeliest tokens and their
    `shares` of the probability: (n, top) int32 and float16, 6 bytes for each."""

    def __init__(self, examples: Sequence[Tokens], ids: np.ndarray, shares: np.ndarray) -> None:
        """Raises DatasetError where the arrays are not those of the examples."""
        self.ids, self.shares = ids, shares
        counts = [int(example.learnt.sum()) for example in examples]
        if sum(counts) != len(ids) or ids.shape != shares.shape:
            raise DatasetError("the teacher's probabilities are those of other conversations: delete their file")
        self._starts = np.cumsum([0, *counts])
        self._ranks = [np.cumsum(example.learnt) - 1 for example in examples]

    def rows(self, sources: np.ndarray) -> np.ndarray:
        """Where the arrays tell of the tokens that `sources`, pairs of an example and a place in it, name."""
        return np.array([self._starts[one] + self._ranks[one][at] for one, at in sources.tolist()], dtype=np.int64)


def asked(loss: Loss, examples: Sequence[Tokens], size: int, top: int) -> SoftTargets:
    """One pass over a teacher, whose `loss` over the examples this is, `size` conversations at a time."""
    told = tell_each(loss, len(examples), size, lambda logits, _: _likeliest(logits, top))
    ids, shares = zip(*told, strict=True)
    return SoftTargets(examples, np.concatenate(ids), np.concatenate(shares))


def _likeliest(logits: mx.array, top: int) -> tuple[mx.array, mx.array]:
    top = min(top, logits.shape[-1])
    logits = logits.astype(mx.float32)
    ids = mx.argpartition(-logits, kth=top - 1, axis=-1)[:, :top]
    chosen = mx.take_along_axis(logits, ids, axis=-1) - mx.logsumexp(logits, axis=-1, keepdims=True)
    return ids.astype(mx.int32), mx.exp(chosen).astype(mx.float16)


def save(targets: SoftTargets, path: Path) -> None:
    partial = path.with_name(f".partial-{path.name}")  # MLX adds a suffix to a name that has another one
    mx.save_safetensors(str(partial), {"ids": mx.array(targets.ids), "shares": mx.array(targets.shares)})
    partial.replace(path)


def read(path: Path, examples: Sequence[Tokens]) -> SoftTargets:
    """Raises DatasetError for a file that is damaged, or of other examples."""
    try:
        arrays = cast(dict[str, mx.array], mx.load(str(path)))
        return SoftTargets(examples, np.array(arrays["ids"]), np.array(arrays["shares"]))
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise DatasetError(f"the teacher's probabilities in {path} are damaged: delete the file ({error})") from error


class Pull:
    """The loss of a token: (1 - `weight`) times its cross-entropy, and `weight` times the Kullback-Leibler divergence
    of the student's distribution from the teacher's, both over the teacher's likeliest tokens and one bucket for the
    rest (Hinton, Vinyals and Dean 2015; the bucket keeps what is cut off from having to be renormalised)."""

    def __init__(self, targets: SoftTargets, weight: float) -> None:
        self._targets, self._weight = targets, weight

    def __call__(self, logits: mx.array, targets: mx.array, sources: np.ndarray) -> mx.array:
        rows = self._targets.rows(sources)
        shares = mx.array(self._targets.shares[rows]).astype(mx.float32)
        hard = cross_entropy(logits, targets)
        soft = divergence(logits.astype(mx.float32), mx.array(self._targets.ids[rows]), shares)
        return (1 - self._weight) * hard + self._weight * soft


def divergence(logits: mx.array, ids: mx.array, shares: mx.array) -> mx.array:
    """KL(teacher ‖ student) in nats, (n,): logits (n, vocabulary), the teacher's (n, top) ids and shares."""
    total = cpu.logsumexp(logits) if cpu.on_cpu() else mx.logsumexp(logits, axis=-1)
    logarithms = mx.take_along_axis(logits, ids, axis=-1) - total[:, None]
    told = mx.where(shares > 0, shares * (mx.log(mx.maximum(shares, _LEAST)) - logarithms), 0.0).sum(axis=-1)
    theirs = mx.maximum(1 - shares.sum(axis=-1), 0.0)
    ours = mx.maximum(1 - mx.exp(logarithms).sum(axis=-1), _LEAST)
    return told + mx.where(theirs > _LEAST, theirs * (mx.log(mx.maximum(theirs, _LEAST)) - mx.log(ours)), 0.0)
