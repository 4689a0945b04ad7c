"""Keys and values of prompts seen before, shared by all conversations that begin alike.

Owns a tree over tokens per adapter content (None: the base): an edge is a run of tokens with their keys and values of
every layer, so what two prompts share is kept once. A match is exact, token by token. The least recently used leaves
go first once the tree is over its bytes. Knows nothing of requests or models; works for plain KV caches only. Belongs
to the generation thread.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import mlx.core as mx
from mlx_lm.models.cache import KVCache

Layers = list[tuple[mx.array, mx.array]]  # per layer: keys and values, each (1, heads, tokens, width)


@dataclass(eq=False)
class _Node:
    tokens: list[int]
    layers: Layers
    parent: _Node | None = None
    children: dict[int, _Node] = field(default_factory=dict)
    used: int = 0

    @property
    def nbytes(self) -> int:
        return sum(keys.nbytes + values.nbytes for keys, values in self.layers)


class PrefixTree:
    """Prompt prefixes by adapter digest, at most `limit` bytes of them."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._roots: dict[str | None, _Node] = {}
        self._clock = count(1)
        self.nbytes = 0

    def match(self, adapter: str | None, tokens: list[int]) -> int:
        """How many of the first tokens are kept."""
        return sum(length for _, length in self._walk(adapter, tokens))

    def fetch(self, adapter: str | None, tokens: list[int]) -> tuple[list[Any] | None, int]:
        """A KV cache for each layer that holds the longest kept prefix of `tokens`, and the prefix's length."""
        path = self._walk(adapter, tokens)
        if not path:
            return None, 0
        now = next(self._clock)
        for node, _ in path:
            node.used = now
        caches = []
        for layer in range(len(path[0][0].layers)):
            cache = KVCache()
            parts = [(node.layers[layer], length) for node, length in path]
            cache.keys = _joined([keys[..., :length, :] for (keys, _), length in parts])
            cache.values = _joined([values[..., :length, :] for (_, values), length in parts])
            cache.offset = cache.keys.shape[2]
            caches.append(cache)
        return caches, sum(length for _, length in path)

    def keep(self, adapter: str | None, tokens: list[int], cache: list[Any]) -> None:
        """Remember the keys and values of `tokens`; what is there already is not stored again."""
        path = self._walk(adapter, tokens)
        known = sum(length for _, length in path)
        now = next(self._clock)
        for node, _ in path:
            node.used = now
        if known == len(tokens) or self._limit <= 0:
            return
        parent = self._split(*path[-1]) if path else self._roots.setdefault(adapter, _Node([], []))
        layers = [
            (_own(layer.keys[..., known : len(tokens), :]), _own(layer.values[..., known : len(tokens), :]))
            for layer in cache
        ]
        mx.eval(layers)
        node = _Node(tokens[known:], layers, parent, used=now)
        parent.children[tokens[known]] = node
        self.nbytes += node.nbytes
        self._evict()

    def forget(self, adapter: str | None) -> None:
        """Drop everything kept for an adapter."""
        root = self._roots.pop(adapter, None)
        if root is not None:
            self.nbytes -= sum(node.nbytes for node in _below(root))

    def _walk(self, adapter: str | None, tokens: list[int]) -> list[tuple[_Node, int]]:
        """The nodes that `tokens` runs through, each with how many of its tokens agree."""
        path: list[tuple[_Node, int]] = []
        node, position = self._roots.get(adapter), 0
        while node is not None and position < len(tokens):
            node = node.children.get(tokens[position])
            if node is None:
                break
            length = common(node.tokens, tokens, position)
            path.append((node, length))
            position += length
            if length < len(node.tokens):
                break
        return path

    def _split(self, node: _Node, length: int) -> _Node:
        """A node that ends after `length` of this node's tokens; the rest becomes its child."""
        if length == len(node.tokens):
            return node
        first: Layers = [(_own(k[..., :length, :]), _own(v[..., :length, :])) for k, v in node.layers]
        rest: Layers = [(_own(k[..., length:, :]), _own(v[..., length:, :])) for k, v in node.layers]
        mx.eval(first, rest)
        head = _Node(node.tokens[:length], first, node.parent, {node.tokens[length]: node}, node.used)
        assert node.parent is not None
        node.parent.children[node.tokens[0]] = head
        node.tokens, node.layers, node.parent = node.tokens[length:], rest, head
        return head

    def _evict(self) -> None:
        while self.nbytes > self._limit:
            leaves = [node for root in self._roots.values() for node in _below(root) if not node.children]
            oldest = min(leaves, key=lambda node: node.used)
            assert oldest.parent is not None
            del oldest.parent.children[oldest.tokens[0]]
            self.nbytes -= oldest.nbytes


def common(run: list[int], tokens: list[int], start: int = 0) -> int:
    """How many tokens of `run` agree with `tokens` from `start` on."""
    length = min(len(run), len(tokens) - start)
    if run[:length] == tokens[start : start + length]:
        return length
    return next(i for i in range(length) if run[i] != tokens[start + i])


def _below(node: _Node) -> Iterator[_Node]:
    """Every node that holds tokens, in no order that matters."""
    todo = list(node.children.values())
    while todo:
        node = todo.pop()
        todo.extend(node.children.values())
        yield node


def _joined(parts: list[mx.array]) -> mx.array:
    return parts[0] if len(parts) == 1 else mx.concatenate(parts, axis=2)


def _own(array: mx.array) -> mx.array:
    """A copy that does not keep the larger array it was cut from alive."""
    return mx.contiguous(array)
