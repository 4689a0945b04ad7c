"""API keys: who a client is, and what it and its requests may do.

Owns data/keys.json and data/admin.key: how a key is made, kept, found and taken away. Knows nothing of HTTP, nor of how
limits are kept.
"""

from __future__ import annotations

import fcntl
import fnmatch
import hashlib
import os
import re
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import structlog

from distill.atomic import write_atomically
from gateway.errors import StartError

_log = structlog.get_logger("keys")

ADMIN = "admin"  # the name under which the holder of the admin key is known
_PREFIX = "ns-"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_LOOK_AGAIN = 0.5  # seconds between two looks at the file


class Rights(msgspec.Struct, frozen=True):
    """What may be done with a client's requests: kept as traces, learnt from, shown to models on other machines."""

    record: bool = True
    teach: bool = True
    may_leave_machine: bool = True


class Client(msgspec.Struct, frozen=True):
    """Who asks. `name` is empty on a gateway without keys.

    `rate` is in requests a minute and `at_once` in requests under way, 0: no limit; `models` are patterns of the names
    that may be asked for, empty: all. `cache`: an answer that was given before will do, where a request says nothing.
    """

    name: str
    rights: Rights = Rights()
    rate: int = 0
    at_once: int = 0
    models: tuple[str, ...] = ()
    cache: bool = False

    def may_ask_for(self, model: str) -> bool:
        return not self.models or any(fnmatch.fnmatchcase(model, pattern) for pattern in self.models)

    def may_see(self, owner: str) -> bool:
        """Whether what `owner` made is this client's to see."""
        return self.name in (owner, ADMIN)


class Key(Client, frozen=True, kw_only=True):
    """A client as it is kept. `digest` is the SHA-256 of its secret, in hexadecimal.

    The secret is 256 random bits, which nobody finds by trying; a slow hash with salt protects words that people
    choose, and here would only make every request slower.
    """

    digest: str
    created: str


class _File(msgspec.Struct, frozen=True):
    keys: list[Key]


class KeyRing:
    """The keys as the file holds them now; another process may change it at any time."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._looked = clock()
        self._stamp: tuple[int, ...] = ()
        self._keys: dict[str, Key] = {}

    def load(self) -> None:
        """Read the file. Raises StartError where it is damaged."""
        self._stamp = self._stat()
        self._keys = {key.digest: key for key in read_keys(self._path)}

    @property
    def empty(self) -> bool:
        self._look()
        return not self._keys

    def find(self, secret: str) -> Key | None:
        """The key with this secret. Digests are looked up, not secrets: how long that takes tells nothing of them."""
        self._look()
        return self._keys.get(_digest(secret))

    def _look(self) -> None:
        """Take up changes of the file. One that is damaged or gone changes nothing: what was shut stays shut."""
        if self._clock() - self._looked < _LOOK_AGAIN:
            return
        self._looked = self._clock()
        stamp = self._stat()
        if stamp == self._stamp:
            return
        try:
            if not stamp:
                raise StartError(f"{self._path} is gone")
            self.load()
        except (StartError, OSError) as error:
            self._stamp = stamp
            _log.error("keys stay as they were", error=str(error))

    def _stat(self) -> tuple[int, ...]:
        try:
            found = self._path.stat()
        except OSError:
            return ()
        return found.st_mtime_ns, found.st_size, found.st_ino


def read_keys(path: Path) -> list[Key]:
    """The keys in a file, oldest first; none where there is no file. Raises StartError where it is damaged."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=_File).keys
    except FileNotFoundError:
        return []
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise StartError(f"{path} is damaged ({error}): move it away and make new keys") from error


def add_key(path: Path, client: Client) -> str:
    """Make a key for a client; its secret, which is nowhere else. Raises StartError for a name that cannot be had."""
    if not _NAME.fullmatch(client.name) or client.name == ADMIN:
        raise StartError(
            f"'{client.name}' cannot be a key's name: take up to 64 letters, digits, '.', '_' or '-', and not 'admin'"
        )
    secret = _PREFIX + secrets.token_urlsafe(32)
    created = datetime.now(UTC).isoformat(timespec="seconds")
    key = msgspec.convert({**msgspec.to_builtins(client), "digest": _digest(secret), "created": created}, Key)
    with _changing(path):
        keys = read_keys(path)
        if any(known.name == client.name for known in keys):
            raise StartError(f"there is a key '{client.name}' already: remove it first, or take another name")
        _write(path, [*keys, key])
    return secret


def remove_key(path: Path, name: str) -> int:
    """Take a key away; how many are left. Raises StartError when there is none of that name."""
    with _changing(path):
        keys = read_keys(path)
        left = [key for key in keys if key.name != name]
        if len(left) == len(keys):
            known = ", ".join(key.name for key in keys) or "none"
            raise StartError(f"there is no key '{name}'; there are: {known}")
        _write(path, left)
    return len(left)


def admin_key(path: Path) -> str:
    """The key of the admin calls; made at the first start, readable by the owner alone. Raises StartError where the
    file is there and empty: an empty key would let in everybody."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        pass
    else:
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(32))
    key = path.read_text().strip()
    if not key:
        raise StartError(f"{path} is empty: remove it, and the next start makes a new key")
    return key


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode(errors="replace")).hexdigest()


def _write(path: Path, keys: list[Key]) -> None:
    write_atomically(path, msgspec.json.format(msgspec.json.encode(_File(keys)), indent=2) + b"\n")


@contextmanager
def _changing(path: Path) -> Iterator[None]:
    """Alone with the file, so that of two keys made in the same moment neither is lost."""
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
