"""Text that a client carries back and forth in fields named `encrypted_content`: thoughts, and compacted conversations.

Owns its form. Nothing is encrypted: the client may read all of it anyway, and a secret would have to be kept somewhere.
Knows nothing of items.
"""

from __future__ import annotations

_MARK = "nightschool-plain-1:"  # tells ours from what another server encrypted


def carry(text: str) -> str:
    return _MARK + text


def carried(content: object) -> str | None:
    """The text that `carry` wrote; None for what is not ours."""
    return content.removeprefix(_MARK) if isinstance(content, str) and content.startswith(_MARK) else None
