"""What is in a file, whole or not at all. Owns how a file of a stranger is opened; knows nothing of what is in it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from distill.facts.records import Passed

MAX_FILE_BYTES = 1_000_000
_BINARY_WITHIN = 8192


def content_of(path: Path, limit: int = MAX_FILE_BYTES) -> bytes | Passed:
    """A plain file's bytes, at most `limit`, as they were at one time; or why there are none."""
    try:
        # not by way of a link, and without waiting for whoever writes into a pipe
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return Passed.UNREADABLE
    try:
        return _whole(descriptor, limit)
    except OSError:
        return Passed.UNREADABLE
    finally:
        os.close(descriptor)


def _whole(descriptor: int, limit: int) -> bytes | Passed:
    before = os.fstat(descriptor)
    if not stat.S_ISREG(before.st_mode):
        return Passed.SPECIAL
    if before.st_size > limit:
        return Passed.TOO_LARGE
    parts = []
    left = before.st_size + 1
    while left > 0 and (part := os.read(descriptor, left)):
        parts.append(part)
        left -= len(part)
    after = os.fstat(descriptor)
    if left != 1 or (before.st_mtime_ns, before.st_size) != (after.st_mtime_ns, after.st_size):
        return Passed.CHANGED
    return b"".join(parts)


def is_binary(content: bytes) -> bool:
    """As grep takes it: a NUL byte near the beginning."""
    return b"\0" in content[:_BINARY_WITHIN]


def text_of(content: bytes) -> str:
    """The text that a tool shows, whatever encoding the file declares."""
    return content.decode("utf-8", errors="replace")
