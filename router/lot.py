"""Lots: numbers that names give, the same for the same ones and as if drawn at random. Nobody has to remember them."""

from __future__ import annotations

import hashlib


def lot(*names: str) -> float:
    """A number from 0 to below 1."""
    digest = hashlib.sha256(":".join(names).encode(errors="surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
