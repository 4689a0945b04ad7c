"""Traces out of the store, whole.

Owns how their parts are found and put together; messages that traces share are read once. Knows nothing of lists or
searches.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import aiosqlite
import msgspec

from distill.store.parts import ROOT, joined, message_of, unpacked
from distill.store.schema import StoreError
from distill.store.transaction import rows, rows_of
from distill.trace import Served, Trace
from router.chat import Message

_TRACES = "SELECT t.seq, t.id, t.parent, t.head, t.tools, t.answer, b.body FROM traces t JOIN bodies b USING (seq) "
_LINKS = """
WITH RECURSIVE above (name) AS (
    SELECT name FROM links WHERE name IN (?)
    UNION SELECT links.parent FROM links JOIN above USING (name)
)
SELECT links.name, links.parent, blobs.body FROM above JOIN links USING (name) JOIN blobs ON blobs.digest = links.blob
"""
_SERVED = """
WITH RECURSIVE above (seq) AS (
    SELECT seq FROM served WHERE seq IN (?)
    UNION SELECT served.base FROM served JOIN above USING (seq) WHERE served.base
)
SELECT seq, base, keep, prompt, completion FROM above JOIN served USING (seq) ORDER BY seq
"""


async def traces_where(
    connection: aiosqlite.Connection, condition: str, values: Iterable[Any]
) -> list[tuple[int, Trace]]:
    """The traces for which an SQL condition (with its order and limit) holds, with their numbers.

    Raises StoreError naming the first that is damaged.
    """
    listed = await rows(connection, _TRACES + condition, values)
    heads = list({row[3] for row in listed} - {ROOT})
    links = {name: (parent, body) for name, parent, body in await rows_of(connection, _LINKS, heads)}
    names = list({name for row in listed for name in (row[4], row[5]) if name is not None})
    blobs = dict(await rows_of(connection, "SELECT digest, body FROM blobs WHERE digest IN (?)", names))
    served = await served_ids(connection, [row[0] for row in listed])
    messages: dict[bytes, list[Message]] = {ROOT: []}
    found = []
    for seq, name, parent, head, tools, answer, rest in listed:
        try:
            said = _messages(head, links, messages)
            offered = None if tools is None else blobs[tools]
            spoken = None if answer is None else blobs[answer]
            found.append((int(seq), joined(rest, said, offered, spoken, served.get(seq), parent)))
        except (KeyError, msgspec.DecodeError) as error:
            raise StoreError(f"the trace {name} is damaged: nightschool traces verify lists all that are") from error
    return found


def _messages(head: bytes, links: dict[bytes, tuple[bytes, bytes]], known: dict[bytes, list[Message]]) -> list[Message]:
    """The messages up to a link. What was read for another trace is not decoded again."""
    way, at = [], head
    while at not in known:
        at, body = links[at]
        way.append(body)
    known[head] = [*known[at], *(message_of(body) for body in reversed(way))]
    return known[head]


async def served_ids(connection: aiosqlite.Connection, numbers: list[int]) -> dict[int, Served]:
    """Token ids as served, by the trace's number; traces without any are left out."""
    found: dict[int, Served] = {}
    for seq, base, keep, prompt, completion in sorted(await rows_of(connection, _SERVED, numbers)):
        before = found.get(base)
        known = [*before.prompt, *before.completion][:keep] if before is not None else []
        if len(known) == keep:  # else the turn before was forgotten, and with it where this one began
            found[seq] = Served([*known, *unpacked(prompt)], unpacked(completion))
    wanted = set(numbers)
    return {seq: ids for seq, ids in found.items() if seq in wanted}
