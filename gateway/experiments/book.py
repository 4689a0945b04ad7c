"""The book of experiments: which there are, which arm each conversation got, how far a canary is.

Owns data/experiments.db (nobody else writes it). An arm that was given once stays, whatever becomes of weights and of
the process: it is written in the same statement that asks for it. Conversations are kept as digests of their names,
under a key.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec
import structlog

from gateway.errors import StartError
from router.canary import Canary
from router.experiment import Experiment

_TABLES = """
CREATE TABLE IF NOT EXISTS experiment (
    name TEXT PRIMARY KEY, entry BLOB NOT NULL, started REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS assignment (
    experiment TEXT NOT NULL, conversation BLOB NOT NULL, arm TEXT NOT NULL, chance REAL NOT NULL,
    PRIMARY KEY (experiment, conversation)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS spoken (
    experiment TEXT NOT NULL, conversation BLOB NOT NULL, what TEXT NOT NULL,
    PRIMARY KEY (experiment, conversation, what)
) WITHOUT ROWID;
"""
_log = structlog.get_logger("experiments")
_REMEMBERED = 20_000  # assignments that need no look into the file
_ENDED = 50  # experiments that are over and still told of, those that began last

State = Literal["running", "stopped", "promoted", "rolled_back", "given_up"]


class Entry(msgspec.Struct, frozen=True):
    """One experiment. A canary's has `canary`, and `path`, the folder of its adapter. `ended` is None while it runs;
    `why` it ended. Times are Unix seconds."""

    experiment: Experiment
    started: float
    state: State = "running"
    ended: float | None = None
    why: str = ""
    canary: Canary | None = None
    path: str = ""

    @property
    def running(self) -> bool:
        return self.state == "running"


class Given(msgspec.Struct, frozen=True):
    """The arm that a conversation got, and how probable that was; `new`: it got it just now."""

    arm: str
    chance: float
    new: bool = False


class Book:
    """`key` hides which conversations there were. Raises StartError for a file that is damaged."""

    def __init__(self, file: Path, key: bytes) -> None:
        self._key = key
        self._unwritten: set[str] = set()
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._db = sqlite3.connect(file, isolation_level=None, timeout=5.0)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")  # a crash of the process loses nothing
            self._db.executescript(_TABLES)
            self._decode = msgspec.json.Decoder(Entry).decode
            rows = self._db.execute("SELECT entry FROM experiment ORDER BY started").fetchall()
            self.entries = {entry.experiment.name: entry for entry in (self._decode(row[0]) for row in rows)}
        except (sqlite3.Error, msgspec.MsgspecError) as error:
            raise StartError(
                f"{file} is damaged ({error}): move it away, and no experiment is known any more"
            ) from error
        self._known: OrderedDict[tuple[str, bytes], Given] = OrderedDict()

    def close(self) -> None:
        self._db.close()

    @property
    def running(self) -> list[Entry]:
        return [entry for entry in self.entries.values() if entry.running]

    def write(self, entry: Entry) -> None:
        """An experiment as it is now, which holds whether or not it can be written: what cannot be is written with the
        next one. The oldest of those that are over make room."""
        name = entry.experiment.name
        self.entries[name] = entry
        self._unwritten.add(name)
        over = [name for name, one in self.entries.items() if not one.running]
        try:
            for changed in list(self._unwritten):
                one = self.entries[changed]
                row = (changed, msgspec.json.encode(one), one.started)
                self._db.execute("INSERT OR REPLACE INTO experiment VALUES (?, ?, ?)", row)
                self._unwritten.discard(changed)
            for old in over[: max(0, len(over) - _ENDED)]:
                self.drop(old)
        except sqlite3.Error as error:
            _log.error("experiments not written", error=str(error))

    def drop(self, name: str) -> None:
        """Forget an experiment with everything that was kept of it. Raises sqlite3.Error."""
        self._db.execute("BEGIN")
        try:
            for table, column in (("assignment", "experiment"), ("spoken", "experiment"), ("experiment", "name")):
                self._db.execute(f"DELETE FROM {table} WHERE {column} = ?", (name,))
            self._db.execute("COMMIT")
        except sqlite3.Error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise
        self._unwritten.discard(name)
        self.entries.pop(name, None)
        for key in [key for key in self._known if key[0] == name]:
            del self._known[key]

    def assigned(self, experiment: str, conversation: str, arm: str, chance: float) -> Given:
        """The arm of a conversation: the one that it has, else `arm`, from now on."""
        key = (experiment, self._digest(conversation))
        if key in self._known:
            self._known.move_to_end(key)
            return self._known[key]
        before = self._db.total_changes
        self._db.execute("INSERT OR IGNORE INTO assignment VALUES (?, ?, ?, ?)", (*key, arm, chance))
        if new := self._db.total_changes > before:
            given = Given(arm, chance)
        else:
            given = self._looked_up(key) or Given(arm, chance)
        self._known[key] = given
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return msgspec.structs.replace(given, new=new)

    def given(self, experiment: str, conversation: str) -> Given | None:
        """The arm of a conversation, if it has one."""
        key = (experiment, self._digest(conversation))
        return self._known.get(key) or self._looked_up(key)

    def first(self, experiment: str, conversation: str, what: str) -> bool:
        """Whether a conversation speaks of `what` for the first time."""
        before = self._db.total_changes
        row = (experiment, self._digest(conversation), what)
        self._db.execute("INSERT OR IGNORE INTO spoken VALUES (?, ?, ?)", row)
        return self._db.total_changes > before

    def counts(self, experiment: str) -> Mapping[str, int]:
        """How many conversations each arm got."""
        found = self._db.execute(
            "SELECT arm, count(*) FROM assignment WHERE experiment = ? GROUP BY arm", (experiment,)
        )
        return {str(arm): int(count) for arm, count in found}

    def _digest(self, conversation: str) -> bytes:
        return hashlib.blake2b(conversation.encode(errors="surrogatepass"), key=self._key, digest_size=16).digest()

    def _looked_up(self, key: tuple[str, bytes]) -> Given | None:
        row = self._db.execute(
            "SELECT arm, chance FROM assignment WHERE experiment = ? AND conversation = ?", key
        ).fetchone()
        return Given(str(row[0]), float(row[1])) if row is not None else None
