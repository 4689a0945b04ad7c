"""The redactor of a data folder, with the key that its placeholders hang on.

Owns that key. Knows nothing of what is redacted.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from distill.redact.redactor import Redactor

from gateway.recording.frames import Orders

_KEY_BYTES = 32


def redactor_of(orders: Orders) -> Redactor:
    return Redactor(_key_at(orders.key))


def _key_at(path: Path) -> bytes:
    """The key that placeholders hang on, made at first; only its owner can read it."""
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(secrets.token_bytes(_KEY_BYTES))
    except FileExistsError:
        pass
    return path.read_bytes()
