"""Keys and values of prompts seen before, shared by all conversations that begin alike.

Owns a tree over tokens per key (an adapter's content digest; None: the base): an edge is a run of tokens with their
keys and values of every layer, so what two prompts share is kept once. A match is exact, token by token. Knows nothing
of requests or models; works for plain KV caches only.

Safe for threads that each have an MLX stream of their own: one at a time, and no lazy array is kept or handed out.
An array in a node never changes.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import mlx.core as mx
from mlx_lm.models.cache import KVCache

from gateway.engine.prefixes.segments import Segments

Layers = list[tuple[mx.array, mx.array]]  # per layer: keys and values, each (1, heads, tokens, width)


@dataclass(frozen=True)
class Stats:
    """What was asked of the kept prefixes since the start, and what is there now."""

    hits: int
    misses: int
    hit_tokens: int
    evictions: int
    entries: int
    nbytes: int


@dataclass(eq=False)
class _Node:
    tokens: list[int]
    layers: Layers
    parent: _Node | None = None
    children: dict[int, _Node] = field(default_factory=dict)


_Path = list[tuple[_Node, int]]  # the nodes that tokens run through, each with how many of its tokens agree


class PrefixTree:
    """Prompt prefixes by key, at most `limit` bytes of them: the least recently used end first.

    Prefixes that several conversations share, as `protect` is told, go last; see Segments.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._roots: dict[str | None, _Node] = {}
        # A node's ancestors are always touched after it, so the first node in the order has no children.
        self._order: Segments[_Node] = Segments(limit // 2)
        self._lock = threading.Lock()
        self._hits = self._misses = self._hit_tokens = self._evictions = 0

    @property
    def nbytes(self) -> int:
        """Bytes of all kept keys and values."""
        return self._order.nbytes

    def match(self, key: str | None, tokens: list[int]) -> int:
        """How many of the first tokens are kept."""
        with self._lock:
            return _known(self._walk(key, tokens))

    def fetch(self, key: str | None, tokens: list[int]) -> tuple[list[Any] | None, int]:
        """A KV cache for each layer that holds the longest kept prefix of `tokens`, and the prefix's length.

        The caches have room for all of `tokens` and one more, so that computing the rest does not copy them again.
        Their arrays are nobody else's: they may be written to in place.
        """
        with self._lock:
            path = self._walk(key, tokens)
            self._touch(path)
            self._count(_known(path))
            if not path:
                return None, 0
            step = KVCache.step
            return _caches(path, (len(tokens) // step + 1) * step), _known(path)

    def whole(self, key: str | None, tokens: list[int]) -> list[Any] | None:
        """KV caches of exactly these tokens, or None if not all are kept. Does not count as a use."""
        with self._lock:
            path = self._walk(key, tokens)
            return _caches(path, 0) if path and _known(path) == len(tokens) else None

    def keep(self, key: str | None, tokens: list[int], caches: list[Any]) -> None:
        """Remember the keys and values of those of `tokens` that the caches hold; only what is new is copied.

        What would not fit beside the prefix it hangs on is not kept.
        """
        tokens = tokens[: caches[0].offset]
        if not tokens or len(tokens) * _token_bytes(caches) > self._limit:
            return
        with self._lock:
            path = self._walk(key, tokens)
            if _known(path) < len(tokens):
                path = self._hang_up(key, path, tokens, caches)
            self._touch(path)
            self._evict(self._limit)

    def protect(self, key: str | None, tokens: list[int]) -> None:
        """Let the nodes of this prefix go last; the one it ends in only if most of it belongs to the prefix."""
        with self._lock:
            for node, length in reversed(self._walk(key, tokens)):
                if 2 * length >= len(node.tokens):
                    self._order.protect(node)

    def forget(self, key: str | None) -> None:
        """Drop everything kept under a key."""
        with self._lock:
            root = self._roots.pop(key, None)
            for node in list(_below(root)) if root else ():
                self._order.remove(node)
                node.parent = None  # nodes that hold each other would keep their arrays until some garbage collection

    def trim_to(self, nbytes: int) -> int:
        """Give up prefixes until at most `nbytes` are kept; how many bytes that freed."""
        with self._lock:
            before = self._order.nbytes
            self._evict(nbytes)
            return before - self._order.nbytes

    def stats(self) -> Stats:
        """Does not wait for whoever computes."""
        counts = (self._hits, self._misses, self._hit_tokens, self._evictions)
        return Stats(*counts, len(self._order), self._order.nbytes)

    # From here on the caller holds the lock.

    def _hang_up(self, key: str | None, path: _Path, tokens: list[int], caches: list[Any]) -> _Path:
        """Add a node for what is new; the path that `tokens` take from now on."""
        known = _known(path)
        if path:
            path[-1] = (self._split(*path[-1]), path[-1][1])
        parent = path[-1][0] if path else self._roots.setdefault(key, _Node([], []))
        fresh = _part([(cache.keys, cache.values) for cache in caches], known, len(tokens))
        node = _Node(tokens[known:], fresh, parent)
        parent.children[node.tokens[0]] = node
        self._order.add(node, _nbytes(fresh))
        return [*path, (node, len(node.tokens))]

    def _split(self, node: _Node, at: int) -> _Node:
        """A node of the first `at` tokens of `node`, which keeps the others and becomes its child."""
        if at == len(node.tokens):
            return node
        assert node.parent is not None
        # Copies of both, as a view would keep the whole of the old arrays alive after the other half is evicted.
        first, rest = _part(node.layers, 0, at), _part(node.layers, at, None)
        head = _Node(node.tokens[:at], first, node.parent, {node.tokens[at]: node})
        node.parent.children[node.tokens[0]] = head
        node.tokens, node.layers, node.parent = node.tokens[at:], rest, head
        self._order.resize(node, _nbytes(rest))
        self._order.add(head, _nbytes(first), like=node)
        return head

    def _walk(self, key: str | None, tokens: list[int]) -> _Path:
        path: _Path = []
        node, position = self._roots.get(key), 0
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

    def _touch(self, path: _Path) -> None:
        for node, _ in reversed(path):
            self._order.touch(node)

    def _count(self, known: int) -> None:
        self._hits += known > 0
        self._misses += known == 0
        self._hit_tokens += known

    def _evict(self, limit: int) -> None:
        while self._order.nbytes > max(limit, 0):
            oldest = self._order.first()
            assert oldest.parent is not None
            assert not oldest.children
            self._order.remove(oldest)
            del oldest.parent.children[oldest.tokens[0]]
            self._evictions += 1


def common(run: list[int], tokens: list[int], start: int = 0) -> int:
    """How many tokens of `run` agree with `tokens` from `start` on."""
    length = min(len(run), len(tokens) - start)
    if run[:length] == tokens[start : start + length]:
        return length
    return next(i for i in range(length) if run[i] != tokens[start + i])


def _known(path: _Path) -> int:
    return sum(length for _, length in path)


def _below(node: _Node) -> Iterator[_Node]:
    """Every node that holds tokens, in no order that matters."""
    todo = list(node.children.values())
    while todo:
        node = todo.pop()
        todo.extend(node.children.values())
        yield node


def _nbytes(layers: Layers) -> int:
    return sum(keys.nbytes + values.nbytes for keys, values in layers)


def _token_bytes(caches: list[Any]) -> int:
    """Bytes of one token's keys and values in all layers."""
    return sum(array.nbytes // array.shape[2] for cache in caches for array in (cache.keys, cache.values))


def _part(layers: Layers, start: int, end: int | None) -> Layers:
    """Copies of some tokens' keys and values that do not keep the arrays they were cut from alive."""
    part = [(mx.contiguous(k[..., start:end, :]), mx.contiguous(v[..., start:end, :])) for k, v in layers]
    mx.eval(part)
    return part


def _caches(path: _Path, room: int) -> list[Any]:
    """A KV cache per layer of what a path holds, with space for `room` tokens in all."""
    caches = []
    for layer in range(len(path[0][0].layers)):
        cache = KVCache()
        cache.offset = _known(path)
        cache.keys, cache.values = (
            _joined([node.layers[layer][which][..., :length, :] for node, length in path], room - cache.offset)
            for which in (0, 1)
        )
        caches.append(cache)
    mx.eval([(cache.keys, cache.values) for cache in caches])
    return caches


def _joined(parts: list[mx.array], room: int) -> mx.array:
    if room > 0:
        batch, heads, _, width = parts[0].shape
        parts = [*parts, mx.zeros((batch, heads, room, width), parts[0].dtype)]
    return parts[0] if len(parts) == 1 else mx.concatenate(parts, axis=2)
