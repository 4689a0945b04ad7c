"""Where a secret is left: in any file below a folder, in any value of a database, in token ids."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import quote

from ahocorasick_rs import BytesAhoCorasick

from distill.store.store import TraceStore
from tests.distill.redact.test_planted import texts


class Hunt:
    """Looks for secrets as they are, in JSON, in an address."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._spelled = [
            (spelled.encode(), secret)
            for secret in secrets
            for spelled in {secret, json.dumps(secret)[1:-1], quote(secret, safe="")}
        ]
        self._automaton = BytesAhoCorasick([spelled for spelled, _ in self._spelled])

    def in_bytes(self, content: bytes) -> set[str]:
        return {self._spelled[number][1] for number, _, _ in self._automaton.find_matches_as_indexes(content)}

    def in_files(self, folder: Path, *, but: Iterable[Path] = ()) -> dict[str, set[str]]:
        """By the file's name; links are not followed."""
        found = {}
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not path.is_symlink() and path not in but and _own(path, folder):
                found[path.relative_to(folder).as_posix()] = self.in_bytes(path.read_bytes())
        return {name: secrets for name, secrets in found.items() if secrets}

    def in_database(self, path: Path) -> set[str]:
        """In every value of every table, those of the index included; what is JSON in JSON is read too."""
        found: set[str] = set()
        for value in values(path):
            content = value if isinstance(value, bytes) else value.encode()
            found |= self.in_bytes(content)
            try:
                inner = json.loads(content)
            except ValueError:
                continue
            found |= self.in_bytes("\0".join(texts(inner)).encode("utf-8", "replace"))
        return found


def values(path: Path) -> Iterator[str | bytes]:
    """Every text and every run of bytes in a database."""
    with sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True) as database:
        names = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for name in names:
            for row in database.execute(f'SELECT * FROM "{name}"'):
                yield from (value for value in row if isinstance(value, str | bytes))
    database.close()


async def ids_of(path: Path) -> dict[str, list[int]]:
    """The token ids that a store has, by trace: prompt and completion."""
    async with await TraceStore.open_to_read(path) as store:
        found = await store.after(0, limit=100_000)
    return {trace.id: [*trace.served.prompt, *trace.served.completion] for _, trace in found if trace.served}


def _own(path: Path, folder: Path) -> bool:
    """Whether a file is not below a linked folder, such as a model's."""
    return not any(parent.is_symlink() for parent in path.parents if parent != folder and folder in parent.parents)
