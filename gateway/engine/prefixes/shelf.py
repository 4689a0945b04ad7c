"""Prefixes on disk: system prompts and tools that are still there after a restart.

Owns one folder (mode 0700, files 0600, named by the digest of model, adapter and tokens) and how many bytes lie in it.
Several processes, of one model or of several, may use it at once: a file appears whole or not at all, and one that
another process has taken away is simply not there. Tokens that tell secrets are not written, and deleted where they
are found; what else belongs on disk it does not decide.

Files are written by a thread of the shelf's own, which never touches MLX. A file that is damaged, or that this program
cannot use any more, is deleted with a log line and never trusted; files of other names are left alone.
"""

from __future__ import annotations

import os
import re
import secrets
import stat
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import structlog

from distill.digest import combined_digest
from gateway.engine.prefixes.prefixfile import (
    Card,
    Damaged,
    Packed,
    Unpackable,
    encode,
    header_end,
    pack,
    read_card,
    unpack,
)

_SUFFIX = ".safetensors"
_OURS = re.compile(r"[0-9a-f]{64}\.safetensors")
_TEMPORARY = re.compile(r"\.[0-9a-f]{64}\.[0-9a-f]+\.part")
_AT_ONCE = 4  # prefixes in memory on their way to the disk
_STALE = 600.0  # seconds: no write takes that long, so who began it is dead

_log = structlog.get_logger()


@dataclass(frozen=True)
class ShelfStats:
    """Files of this model that the shelf knows, how many were put to use and written, and how many were bad."""

    files: int
    loaded: int
    written: int
    deleted: int


@dataclass(frozen=True)
class _Entry:
    path: Path
    adapter: str | None
    tokens: list[int]


class Shelf:
    """Prefixes of one model in `folder`, which holds at most `limit_bytes`: the least recently used file ends first.

    `model_digest` names all that keys and values hang on beside adapter and tokens: the model's content, its number
    format in memory, the machine that computes. `tells_secrets` says of tokens whether a secret is in them. Opening
    reads the files' headers only; raises OSError if the folder cannot be made or read.
    """

    def __init__(
        self, folder: Path, limit_bytes: int, model_digest: str, tells_secrets: Callable[[list[int]], bool]
    ) -> None:
        self._folder = folder
        self._limit = limit_bytes
        self._model = model_digest
        self._tells_secrets = tells_secrets
        self._barred: set[str] = set()  # names of prefixes that tell secrets
        self._lock = threading.Lock()
        self._entries: dict[str, _Entry] = {}
        self._coming: set[str] = set()  # names that are being written
        self._loaded = self._written = self._deleted = 0
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="shelf")
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        self._sweep()
        for path in sorted(p for p in folder.iterdir() if _OURS.fullmatch(p.name)):
            self._enter(path)

    def match(self, adapter: str | None, tokens: list[int]) -> int:
        """How many of the first tokens are on the shelf as one prefix."""
        entry = self._longest(adapter, tokens)
        return len(entry.tokens) if entry else 0

    def put(self, adapter: str | None, tokens: list[int], caches: Callable[[], list[Any] | None]) -> None:
        """Have these caches, which hold exactly these tokens, written some time soon, unless they are there already or
        may not be.

        `caches` is asked only if they are not. Their content is copied before this returns. While several others wait
        to be written nothing is done: it will be used again.
        """
        name = self._name(adapter, tokens)
        with self._lock:
            known = name in self._entries
            if name in self._coming or name in self._barred or (not known and len(self._coming) >= _AT_ONCE):
                return
            if not known:
                self._coming.add(name)
        if known:
            self._submit(self._used, self._folder / name)
        elif self._tells_secrets(tokens):
            with self._lock:
                self._barred.add(name)
                self._coming.discard(name)
        else:
            self._submit(self._write, name, self._packed(adapter, tokens, caches))

    def load(self, adapter: str | None, tokens: list[int]) -> tuple[list[Any] | None, int]:
        """Caches of the longest prefix of `tokens` on the shelf, and its length; its file is verified first."""
        while entry := self._longest(adapter, tokens):
            caches = self._read(entry)
            if caches is not None:
                self._submit(self._used, entry.path)
                return caches, len(entry.tokens)
        return None, 0

    def discard(self, adapter: str | None, tokens: list[int], reason: str) -> None:
        """Delete the file of exactly these tokens: it turned out to be of no use."""
        self._delete(self._folder / self._name(adapter, tokens), reason)

    def forget(self, adapter: str | None) -> None:
        """Delete the files of an adapter, those being written included."""
        self._submit(self._forget, adapter)

    def flush(self) -> None:
        """Wait until everything put so far is on disk."""
        self._writer.submit(lambda: None).result()

    def close(self) -> None:
        """Finish what is being written. Nothing may be put any more."""
        self._writer.shutdown(wait=True)

    def stats(self) -> ShelfStats:
        with self._lock:
            return ShelfStats(len(self._entries), self._loaded, self._written, self._deleted)

    def _name(self, adapter: str | None, tokens: list[int]) -> str:
        content = sha256(np.array(tokens, np.int64).tobytes()).hexdigest()
        return combined_digest([self._model, adapter or "", content]) + _SUFFIX

    def _longest(self, adapter: str | None, tokens: list[int]) -> _Entry | None:
        with self._lock:
            fitting = [e for e in self._entries.values() if e.adapter == adapter and _begins(tokens, e.tokens)]
        return max(fitting, key=lambda entry: len(entry.tokens), default=None)

    def _sweep(self) -> None:
        """Delete what a process that died while writing has left behind."""
        for path in self._folder.iterdir():
            if _TEMPORARY.fullmatch(path.name) and _age(path) > _STALE:
                path.unlink(missing_ok=True)

    def _enter(self, path: Path) -> None:
        """Take a file into the index by its card. One of another model is another process's business."""
        try:
            card = _card_of(path, self._limit)
        except FileNotFoundError:
            return
        except (Damaged, OSError) as error:
            self._delete(path, str(error))
            return
        if card.model != self._model:
            return
        if not card.current or path.name != self._name(card.adapter, card.tokens):
            self._delete(path, "it is of another version, or not what its name says")
            return
        if self._tells_secrets(card.tokens):
            self._delete(path, "it tells a secret")
            return
        with self._lock:
            self._entries[path.name] = _Entry(path, card.adapter, card.tokens)

    def _read(self, entry: _Entry) -> list[Any] | None:
        try:
            card, caches = unpack(_content(entry.path, self._limit))
            if (card.model, card.adapter, card.tokens) != (self._model, entry.adapter, entry.tokens):
                raise Damaged("it is of another prefix")
        except FileNotFoundError:
            with self._lock:
                self._entries.pop(entry.path.name, None)
            return None
        except (Damaged, OSError) as error:
            self._delete(entry.path, str(error))
            return None
        with self._lock:
            self._loaded += 1
        return caches

    def _delete(self, path: Path, reason: str) -> None:
        with self._lock:
            self._entries.pop(path.name, None)
            self._deleted += 1
        _log.warning("kept prefix deleted", file=str(path), reason=reason)
        _unlink(path)

    def _packed(self, adapter: str | None, tokens: list[int], caches: Callable[[], list[Any] | None]) -> Packed | None:
        try:
            found = caches()
            return pack(self._model, adapter, tokens, found) if found is not None else None
        except Unpackable as error:
            _log.info("prefix not kept on disk", reason=str(error))
            return None

    def _submit(self, work: Callable[..., None], *arguments: Any) -> None:
        try:
            self._writer.submit(work, *arguments)
        except RuntimeError:  # closed: the engine is ending, and a prefix less on disk is no harm
            _log.info("shelf is closed")

    # From here on: the shelf's own thread.

    def _write(self, name: str, packed: Packed | None) -> None:
        try:
            if packed is not None:
                self._write_file(self._folder / name, packed)
        except OSError as error:
            _log.warning("prefix not kept on disk", reason=str(error))
        finally:
            with self._lock:
                self._coming.discard(name)

    def _write_file(self, path: Path, packed: Packed) -> None:
        pieces = encode(packed)
        size = sum(map(len, pieces))
        if size > self._limit:
            _log.info("prefix not kept on disk", reason="it is larger than the shelf", bytes=size)
            return
        self._make_room(size)
        _replace(path, pieces)
        with self._lock:
            self._entries[path.name] = _Entry(path, packed.card.adapter, packed.card.tokens)
            self._written += 1

    def _make_room(self, size: int) -> None:
        """Delete the files longest unused, whoever's they are, until `size` more bytes fit."""
        found = [(path, _status(path)) for path in self._folder.iterdir() if _OURS.fullmatch(path.name)]
        files = sorted((status.st_mtime, status.st_size, path) for path, status in found if status)
        total = sum(nbytes for _, nbytes, _ in files)
        for _, nbytes, path in files:
            if total + size <= self._limit:
                break
            path.unlink(missing_ok=True)
            total -= nbytes
            with self._lock:
                self._entries.pop(path.name, None)

    def _used(self, path: Path) -> None:
        try:
            os.utime(path, follow_symlinks=False)
        except OSError:  # another process has made room
            with self._lock:
                self._entries.pop(path.name, None)

    def _forget(self, adapter: str | None) -> None:
        with self._lock:
            gone = [entry for entry in self._entries.values() if entry.adapter == adapter]
            for entry in gone:
                del self._entries[entry.path.name]
        for entry in gone:
            _unlink(entry.path)


def _begins(tokens: list[int], prefix: list[int]) -> bool:
    return tokens[: len(prefix)] == prefix


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.lstat()
    except FileNotFoundError:
        return None


def _age(path: Path) -> float:
    """Seconds since a file was last written to."""
    status = _status(path)
    return time.time() - status.st_mtime if status else 0.0


def _unlink(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        _log.warning("kept prefix cannot be deleted", file=str(path), reason=str(error))


@contextmanager
def _opened(path: Path, limit: int) -> Iterator[BinaryIO]:
    """A regular file of at most `limit` bytes, open for reading; no link is followed, no pipe waited for."""
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode) or status.st_size > limit:
            raise Damaged("it is no file, or larger than the shelf")
        yield file


def _card_of(path: Path, limit: int) -> Card:
    with _opened(path, limit) as file:
        beginning = file.read(8)
        return read_card(beginning + file.read(header_end(beginning) - 8))


def _content(path: Path, limit: int) -> bytes:
    with _opened(path, limit) as file:
        return file.read()


def _replace(path: Path, pieces: list[bytes | memoryview]) -> None:
    """Write a file so that it is there whole, and stays so after a crash, or not at all."""
    temporary = path.with_name(f".{path.stem}.{secrets.token_hex(8)}.part")
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            for piece in pieces:
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
