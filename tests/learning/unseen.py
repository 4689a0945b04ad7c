"""`python -m tests.learning.unseen BASE ADAPTER DATASET`: what a student would write in the conversations of a file, by
one pass over each. Prints a JSON object.

Greedy decoding writes a turn if and only if every token of it is the likeliest one after those before it; and the tool
says the same after the same call. So a conversation whose turns are all exact is what the student would do by itself.
Token for token is stricter than an examination, which takes calls for right that come to the same.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from distill.dataset import Example, read_examples
from distill.mlx import blas

_AT_ONCE = 16
_MEMORY = 8 * 2**30  # bytes
Turns = Sequence[np.ndarray]


class Seen(NamedTuple):
    """Of conversations: those where every call is exact and none is made where none is due, and of these the ones with
    the exact answer, too; those where the first turn is a call if and only if one is due."""

    conversations: int = 0
    exact_calls: int = 0
    exact: int = 0
    reached: int = 0


def main(base: Path, adapter: Path, dataset: Path) -> Seen:
    blas.prepare(threads=1)

    from distill.mlx import lora
    from distill.mlx.load import load
    from distill.render import Renderer
    from distill.train.looking import turns_of
    from distill.train.losses import tell_each
    from distill.train.making import loss_of
    from distill.train.tokens import tokens_of

    renderer = Renderer(base)
    model = load(base).model
    lora.attach(model, lora.read(adapter))
    model.eval()
    examples = read_examples(dataset)
    tokens = [tokens_of(renderer.segments(one.messages, one.tools)) for one in examples]
    loss = loss_of(model, tokens, 0, _MEMORY)
    likeliest = [ids for (ids,) in tell_each(loss, len(tokens), _AT_ONCE, _likeliest)]
    due = [turns_of(one, one.ids[one.learnt]) for one in tokens]
    written = [turns_of(one, mine) for one, mine in zip(tokens, likeliest, strict=True)]
    return counted([_calls(one) for one in examples], due, written)


def _likeliest(logits: Any, _: Any) -> Any:
    return (logits.argmax(axis=-1),)


def _calls(example: Example) -> list[bool]:
    """For each turn of the assistant, whether it is a call."""
    return [bool(message.tool_calls) for message in example.messages if message.role == "assistant"]


def counted(calls: Sequence[Sequence[bool]], due: Sequence[Turns], written: Sequence[Turns]) -> Seen:
    """What was written comes to, beside what was due, turn by turn, where calls are told apart by their first token."""
    turns = [pair for are, wanted in zip(calls, due, strict=True) for pair in zip(are, wanted, strict=True)]
    begins = {int(turn[0]) for is_call, turn in turns if is_call}
    seen = Seen(len(due))
    for are, wanted, got in zip(calls, due, written, strict=True):
        right = [bool((one == other).all()) for one, other in zip(wanted, got, strict=True)]
        called = [int(turn[0]) in begins for turn in got]
        exact = called == list(are) and all(hit for hit, is_call in zip(right, are, strict=True) if is_call)
        seen = Seen(
            seen.conversations,
            seen.exact_calls + exact,
            seen.exact + (exact and right[-1]),
            seen.reached + (called[0] == are[0]),
        )
    return seen


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(*map(Path, sys.argv[1:]))._asdict()) + "\n")
