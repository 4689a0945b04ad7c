"""The responses that clients may name later, in memory and nowhere else.

Owns how many are kept and whose they are. Knows nothing of how an item is written or read.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from gateway.errors import PreviousResponseNotFound

MOST_RESPONSES = 2_000  # some days of one person's agents; the bytes are what runs out first
MOST_BYTES = 64 * 1024 * 1024  # a long coding session is 1 to 4 MB of items


class Stored(msgspec.Struct, frozen=True):
    """One finished response. `response` and `items` (its own input) are JSON, so that their size is known."""

    id: str
    owner: str
    previous: str
    conversation: str
    response: bytes
    items: bytes
    item_ids: tuple[str, ...]

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self.response) + len(self.items)

    @property
    def input(self) -> list[dict[str, Any]]:
        """The items that were this response's own input, without those of earlier responses."""
        items: list[dict[str, Any]] = msgspec.json.decode(self.items)
        return items

    @property
    def output(self) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = msgspec.json.decode(self.response)["output"]
        return items


class ResponseStore:
    """Responses by id; beyond either limit the one that was used least recently goes."""

    def __init__(self, most: int = MOST_RESPONSES, most_bytes: int = MOST_BYTES) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._kept: OrderedDict[str, Stored] = OrderedDict()
        self._holders: dict[tuple[str, str], str] = {}  # owner and item's id → the latest response that has it
        self.size = 0
        """Bytes of all that is kept."""

    def __len__(self) -> int:
        return len(self._kept)

    def put(
        self, response: dict[str, Any], items: Sequence[dict[str, Any]], *, owner: str, previous: str, conversation: str
    ) -> None:
        """Keep a response with its own input."""
        ids = tuple(item["id"] for item in (*items, *response["output"]))
        one = Stored(
            id=response["id"],
            owner=owner,
            previous=previous,
            conversation=conversation,
            response=msgspec.json.encode(response),
            items=msgspec.json.encode(items),
            item_ids=ids,
        )
        self._kept[one.id] = one
        self.size += one.size
        self._holders.update({(owner, item_id): one.id for item_id in ids})
        while len(self._kept) > self._most or self.size > self._most_bytes:
            self._drop(next(iter(self._kept)))

    def get(self, owner: str, response_id: str) -> Stored | None:
        found = self._kept.get(response_id)
        if found is None or found.owner != owner:
            return None
        self._kept.move_to_end(response_id)
        return found

    def delete(self, owner: str, response_id: str) -> bool:
        """Forget a response; whether there was one."""
        if self.get(owner, response_id) is None:
            return False
        self._drop(response_id)
        return True

    def forget(self, response_ids: Iterable[str]) -> None:
        """Drop responses, whoever made them."""
        for response_id in response_ids:
            if response_id in self._kept:
                self._drop(response_id)

    def chain(self, owner: str, response_id: str) -> list[Stored]:
        """A response and those before it, the first one first. Raises PreviousResponseNotFound."""
        chain: list[Stored] = []
        wanted = response_id
        while wanted:
            found = self._kept.get(wanted)
            if found is None or found.owner != owner:
                raise PreviousResponseNotFound(_missing(response_id, wanted), param="previous_response_id")
            chain.append(found)
            wanted = found.previous
        chain.reverse()
        for one in chain:  # the beginning goes first if memory runs out: without it the rest is of no use
            self._kept.move_to_end(one.id)
        return chain

    def item(self, owner: str, item_id: str) -> dict[str, Any] | None:
        """An input or output item of a kept response."""
        holder = self.get(owner, self._holders.get((owner, item_id), ""))
        if holder is None:
            return None
        return next(item for item in (*holder.output, *holder.input) if item["id"] == item_id)

    def _drop(self, response_id: str) -> None:
        gone = self._kept.pop(response_id)
        self.size -= gone.size
        for item_id in gone.item_ids:
            if self._holders.get((gone.owner, item_id)) == response_id:
                del self._holders[gone.owner, item_id]


def _missing(asked: str, missing: str) -> str:
    if asked == missing:
        return f"Previous response with id '{asked[:200]}' not found."
    return f"Previous response with id '{asked[:200]}' cannot be used: '{missing}', earlier in its chain, is not kept."
