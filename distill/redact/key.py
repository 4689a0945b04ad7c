"""The key that placeholders hang on: one for a data folder. Owns its file; knows nothing of what is redacted."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

_BYTES = 32


def key_at(path: Path) -> bytes:
    """The key in a file that only its owner can read; made at first. Raises OSError."""
    with suppress(FileExistsError), os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(secrets.token_bytes(_BYTES))
    return path.read_bytes()
