"""What folders under models/ may be called. Knows nothing of what is in them."""

from __future__ import annotations

import re

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def is_name(text: str) -> bool:
    """Whether a folder below models/ may be called so."""
    return _NAME.fullmatch(text) is not None
