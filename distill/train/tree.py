"""A batch as a tree: what its examples begin with in common is held once, at every depth where they part.

Owns how the tree grows and what each of its nodes predicts; knows nothing of models, or of how a tree is run.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from distill.train.tokens import Tokens, alphabetical, common


class Prediction(NamedTuple):
    """The token at `place` of its node is followed by `target`, the token `at` of `example`, in `weight` examples
    that learn it."""

    place: int
    target: int
    weight: int
    example: int
    at: int


@dataclass(frozen=True)
class Node:
    """The tokens `start` to `end` that all `examples` share; `children` go on, each with some of them."""

    examples: list[int]
    start: int
    end: int
    children: list[Node]
    predictions: list[Prediction] = field(default_factory=list)

    def __len__(self) -> int:
        return self.end - self.start

    def all(self) -> Iterator[Node]:
        """The node and those below it, parents first."""
        yield self
        for child in self.children:
            yield from child.all()


def grow(examples: Sequence[Tokens], least: int = 1, longest: int | None = None) -> list[Node]:
    """The examples as trees, each token of each example in one node on its path.

    What some share becomes a node when that saves at least `least` tokens: a node costs a pass of its own. One longer
    than `longest` becomes a chain, so that its later part can begin before the earlier is through all layers.
    """
    order = alphabetical(examples)
    shared = [common(examples[one].ids, examples[two].ids) for one, two in itertools.pairwise(order)]
    roots = _grow(examples, order, shared, 0, least)
    if longest:
        roots = [_chain(root, longest) for root in roots]
    for node in (node for root in roots for node in root.all()):
        node.predictions.extend(_predictions(examples, node))
    return roots


def _grow(examples: Sequence[Tokens], order: list[int], shared: list[int], start: int, least: int) -> list[Node]:
    """The nodes of `order`, examples alike up to `start`; each shares the `shared` first tokens with the next one."""
    longest = max(len(examples[index].ids) for index in order)
    until = min(shared, default=longest)
    if until == longest:
        return [Node(order, start, longest, [])]
    pays = (len(order) - 1) * (until - start) >= max(least, 1)
    cuts = [0, *(at + 1 for at, length in enumerate(shared) if length == until), len(order)]
    parts = [
        (order[first:last], shared[first : last - 1])
        for first, last in itertools.pairwise(cuts)
        if not (pays and len(examples[order[first]].ids) == until)  # it ends with the node
    ]
    children = [node for part in parts for node in _grow(examples, *part, until if pays else start, least)]
    return [Node(order, start, until, children)] if pays else children


def _chain(node: Node, longest: int) -> Node:
    """The tree with no node that others follow longer than `longest`."""
    children = [_chain(child, longest) for child in node.children]
    end = node.end
    while children and end - node.start > longest:
        cut = node.start + (end - node.start - 1) // longest * longest
        children, end = [Node(node.examples, cut, end, children)], cut
    return Node(node.examples, node.start, end, children)


def _predictions(examples: Sequence[Tokens], node: Node) -> Iterator[Prediction]:
    """What is learnt after each place of the node, by how many examples, ordered by place."""
    found: dict[tuple[int, int], list[int]] = {}
    for example in node.examples:
        tokens = examples[example]
        for place in np.flatnonzero(tokens.learnt[node.start + 1 : node.end + 1]).tolist():
            index = node.start + 1 + place
            entry = found.setdefault((place, int(tokens.ids[index])), [0, example, index])
            entry[0] += 1
    for (place, target), (weight, example, index) in sorted(found.items()):
        yield Prediction(place, target, weight, example, index)
