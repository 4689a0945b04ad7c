"""The passes in which a tree is run through a model: siblings as rows of one batch, parents before children.

Owns padding and the division of work over streams; knows nothing of models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from distill.train.tokens import Tokens
from distill.train.tree import Node

_PASS = 48  # tokens' worth of work that one more pass costs, measured on two cores


@dataclass(frozen=True)
class Pass:
    """Nodes with the same parent, run as rows padded on the right with 0.

    `tokens` is (b, s); `after` names the pass and its row whose tokens come before, `seen` how many come before in all.
    Position `rows[i], columns[i]` predicts `targets[i]` with a weight; `sources[i]` are an example and the place of
    the target in it. `stream` is the number of the stream to run on.
    """

    nodes: list[Node]
    tokens: np.ndarray
    after: tuple[int, int] | None
    seen: int
    rows: np.ndarray
    columns: np.ndarray
    targets: np.ndarray
    weights: np.ndarray
    sources: np.ndarray
    stream: int


def passes_of(examples: Sequence[Tokens], roots: Sequence[Node], streams: int) -> list[Pass]:
    """The trees as passes, each after the one it depends on, divided over `streams` by the work they are."""
    made: list[Pass] = []
    loads = [0] * streams

    def run(siblings: Sequence[Node], after: tuple[int, int] | None) -> None:
        for part in _parts(siblings, streams):
            stream = loads.index(min(loads))
            loads[stream] += _work(part) + _PASS
            at = len(made)
            made.append(_pass(examples, part, after, stream))
            for row, node in enumerate(part):
                if node.children:
                    run(node.children, (at, row))

    run(roots, None)
    return made


def _parts(siblings: Sequence[Node], streams: int) -> list[list[Node]]:
    """Siblings divided into runs of like length: the least padding and number of passes, none over its share of the
    work unless it is a single row."""
    ordered = sorted(siblings, key=lambda node: (len(node), node.examples[0]))
    share = -(-sum(map(len, ordered)) // streams)
    best: list[tuple[float, int]] = [(0.0, 0)]  # of the first n siblings: the least work, and where its last run begins
    for end in range(1, len(ordered) + 1):
        best.append(
            min(
                (best[begin][0] + _work(ordered[begin:end]) + _PASS, begin)
                for begin in range(end)
                if begin == end - 1 or _work(ordered[begin:end]) <= share * 1.1
            )
        )
    parts, end = [], len(ordered)
    while end:
        begin = best[end][1]
        parts.append(ordered[begin:end])
        end = begin
    return parts[::-1]


def _work(nodes: Sequence[Node]) -> int:
    """Tokens, padding included."""
    return len(nodes) * max(map(len, nodes))


def _pass(examples: Sequence[Tokens], nodes: list[Node], after: tuple[int, int] | None, stream: int) -> Pass:
    tokens = np.zeros((len(nodes), max(map(len, nodes))), dtype=np.int32)
    for row, node in zip(tokens, nodes, strict=True):
        row[: len(node)] = examples[node.examples[0]].ids[node.start : node.end]
    asked = [(row, *prediction) for row, node in enumerate(nodes) for prediction in node.predictions]
    rows, columns, targets, weights, *sources = np.array(asked, dtype=np.int64).reshape(-1, 6).T
    return Pass(
        nodes,
        tokens,
        after,
        nodes[0].start,
        rows,
        columns,
        targets,
        weights.astype(np.float32),
        np.stack(sources, axis=1),
        stream,
    )
