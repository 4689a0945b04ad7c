"""Traces in lists: newest first, by a search, and as sums.

Owns what is told of a trace without reading it, and the words that a search finds. Knows nothing of how a list looks.
"""

from __future__ import annotations

from typing import Any

import aiosqlite
import msgspec

from distill.store.parts import words_of
from distill.store.schema import StoreError
from distill.store.transaction import rows, writing

_INDEXED = "words"  # in `marks`: the last blob whose words are in the index
_STEP = 500  # blobs put into the index at a time
_HITS = 5_000  # of the newest messages with the words, how many are looked at for the traces that are wanted
_TAIL = 20_000  # blobs not yet in the index that a search still looks through

_COLUMNS = (
    "seq, id, created, client, conversation, turn, wire, wire_id, state, arm, reason, model, teach, redacted, "
    "seconds, prompt_tokens, completion_tokens, said"
)


class Summary(msgspec.Struct, frozen=True, omit_defaults=True):
    """A trace in a list. `said` are the user's last words, cut short; `seconds` from the request to its end."""

    seq: int
    id: str
    created: float
    client: str
    conversation: str
    turn: int
    wire: str
    wire_id: str
    state: str
    arm: str
    reason: str
    model: str
    teach: bool
    redacted: int
    seconds: float | None
    prompt_tokens: int | None
    completion_tokens: int | None
    said: str


class Wanted(msgspec.Struct, frozen=True):
    """Which traces: empty fields say nothing. `since` and `until` are Unix seconds, `before` and `after` traces'
    numbers."""

    arm: str = ""
    reason: str = ""
    state: str = ""
    client: str | None = None
    conversation: str = ""
    wire: str = ""
    model: str = ""
    since: float | None = None
    until: float | None = None
    before: int | None = None
    after: int | None = None

    def condition(self) -> tuple[str, list[Any]]:
        """As SQL, with its values."""
        equal = {name: getattr(self, name) for name in ("arm", "reason", "state", "conversation", "wire", "model")}
        terms = {f"{name} = ?": value for name, value in equal.items() if value}
        rest = {
            "client = ?": self.client,
            "created >= ?": self.since,
            "created < ?": self.until,
            "seq < ?": self.before,
            "seq > ?": self.after,
        }
        terms |= {term: value for term, value in rest.items() if value is not None}
        return (" AND ".join(terms) or "1"), list(terms.values())


ALL = Wanted()


class Sum(msgspec.Struct, frozen=True):
    """How many traces of one kind there are. `day` counts from 1970-01-01, UTC."""

    day: int
    client: str
    wire: str
    arm: str
    reason: str
    state: str
    traces: int
    seconds: float
    prompt_tokens: int
    completion_tokens: int


async def listed(connection: aiosqlite.Connection, wanted: Wanted, limit: int) -> list[Summary]:
    """The newest traces that are wanted, newest first."""
    condition, values = wanted.condition()
    query = f"SELECT {_COLUMNS} FROM traces WHERE {condition} ORDER BY seq DESC LIMIT ?"
    return _summaries(await rows(connection, query, [*values, limit]))


async def search(connection: aiosqlite.Connection, text: str, wanted: Wanted, limit: int) -> list[Summary]:
    """The newest traces that brought a message with all these words, newest first. A word may end in `*`; words in
    double quotes stand together. What is not yet in the index is looked through."""
    words = _query(text)
    if not words:
        return []
    condition, values = wanted.condition()
    query = (
        f"SELECT {_COLUMNS} FROM traces WHERE seq IN (SELECT first FROM (SELECT blobs.first FROM words "
        "JOIN blobs ON blobs.id = words.rowid WHERE words MATCH ? ORDER BY words.rowid DESC LIMIT ?)) "
        f"AND {condition} ORDER BY seq DESC LIMIT ?"
    )
    found = await rows(connection, query, [words, _HITS, *values, limit])
    tail = await _in_the_tail(connection, text, condition, values, limit)
    merged = {row[0]: row for row in (*found, *tail)}
    return _summaries(sorted(merged.values(), reverse=True)[:limit])


async def sums(connection: aiosqlite.Connection, since_day: int = 0) -> list[Sum]:
    query = "SELECT * FROM days WHERE day >= ? ORDER BY day, client, wire, arm, reason, state"
    return [Sum(*row) for row in await rows(connection, query, [since_day])]


async def took(connection: aiosqlite.Connection, since_day: int) -> list[tuple[int, str, float]]:
    """Day, arm and seconds of each request since a day that a model answered to its end, in no order; imports are none
    of them."""
    query = (
        "SELECT CAST(created / 86400 AS INTEGER), arm, seconds FROM traces WHERE created >= ? AND state = 'completed' "
        "AND seconds IS NOT NULL AND reason <> 'cached' AND client NOT LIKE 'import:%'"
    )
    return [(int(day), arm, seconds) for day, arm, seconds in await rows(connection, query, [since_day * 86400])]


async def index_some(connection: aiosqlite.Connection) -> bool:
    """Put the words of some more blobs into the index; whether there are still others."""
    done = await _indexed(connection)
    waiting = await rows(connection, "SELECT id, body FROM blobs WHERE id > ? ORDER BY id LIMIT ?", [done, _STEP])
    if not waiting:
        return False
    spoken = [(number, words) for number, body in waiting if (words := words_of(body))]
    async with writing(connection):
        await connection.executemany("INSERT INTO words (rowid, text) VALUES (?,?)", spoken)
        await connection.execute("INSERT OR REPLACE INTO marks VALUES (?,?)", (_INDEXED, waiting[-1][0]))
    return len(waiting) == _STEP


async def forget_words(connection: aiosqlite.Connection, blobs: list[tuple[int, bytes]]) -> None:
    """Take blobs that are about to be deleted out of the index."""
    done = await _indexed(connection)
    gone = [(number, words) for number, body in blobs if number <= done and (words := words_of(body))]
    await connection.executemany("INSERT INTO words (words, rowid, text) VALUES ('delete',?,?)", gone)


async def _indexed(connection: aiosqlite.Connection) -> int:
    found = await rows(connection, "SELECT value FROM marks WHERE name = ?", [_INDEXED])
    return int(found[0][0]) if found else 0


async def _in_the_tail(
    connection: aiosqlite.Connection, text: str, condition: str, values: list[Any], limit: int
) -> list[Any]:
    done = await _indexed(connection)
    query = "SELECT first, body FROM blobs WHERE id > ? ORDER BY id DESC LIMIT ?"
    words = [word.strip('"*').lower() for word in text.split()]
    hits = []
    for first, body in await rows(connection, query, [done, _TAIL]):
        said = words_of(body).lower()
        if said and all(word in said for word in words):
            hits.append(first)
    hits = sorted(set(hits), reverse=True)[: limit * 4]
    marks = ",".join("?" * len(hits))
    query = f"SELECT {_COLUMNS} FROM traces WHERE seq IN ({marks}) AND {condition} ORDER BY seq DESC LIMIT ?"
    return await rows(connection, query, [*hits, *values, limit]) if hits else []


def _query(text: str) -> str:
    """Words as FTS5 takes them: each in quotes of its own, so that no sign in them is an operator."""
    pieces = text.split('"')
    phrases = [piece.strip() for piece in pieces[1::2]]
    words = [word for piece in pieces[0::2] for word in piece.split()]
    terms = [f'"{word.rstrip("*")}"{"*" if word.endswith("*") else ""}' for word in words if word.strip("*")]
    return " ".join([*terms, *(f'"{phrase}"' for phrase in phrases if phrase)])


def _summaries(found: list[Any]) -> list[Summary]:
    try:
        return [
            msgspec.convert(dict(zip(Summary.__struct_fields__, row, strict=True)), Summary, strict=False)
            for row in found
        ]
    except msgspec.ValidationError as error:
        raise StoreError(f"the list of traces is damaged: {error}") from error
