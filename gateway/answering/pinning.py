"""The pin: which adapter serves by an operator's word until that word is taken back.

Owns models/pin.json (nobody else writes it), which is not a field of live.json: the base can be pinned, and then there
is no live.json. Knows nothing of engines, or of who wants to serve.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import structlog

from distill.atomic import write_atomically
from gateway.errors import Conflict, StartError

BASE = "base"  # what the base is called where an adapter is named
_log = structlog.get_logger("promotion")


class Pin(msgspec.Struct, frozen=True):
    """What models/pin.json holds: the adapter, "" for the base, and since when."""

    adapter: str
    since: str


def serving(adapter: str) -> str:
    """An adapter's name in a sentence; "" is the base."""
    return adapter or "the base"


class Pinning:
    """Whether something is pinned. Raises StartError for a file that is damaged."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.pin: Pin | None = None
        try:
            self.pin = msgspec.json.decode(file.read_bytes(), type=Pin)
        except FileNotFoundError:
            return
        except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
            raise StartError(f"{file} is damaged ({error}): remove it, and nothing is pinned") from error

    def check(self, adapter: str | None) -> None:
        """Raises Conflict while something else than this adapter is pinned."""
        if self.pin is not None and self.pin.adapter != adapter:
            name = serving(self.pin.adapter)
            raise Conflict(f"Nothing changes what serves while {name} is pinned: `nightschool pin --off` first.")

    def agree(self, adapter: str) -> None:
        """Hold what serves as the gateway starts, where that is something else: somebody took live.json away, or the
        gateway was killed between the two files."""
        if self.pin is not None and self.pin.adapter != adapter:
            _log.warning("another adapter is pinned than serves: what serves is pinned now", pinned=self.pin.adapter)
            self.put(adapter)

    def put(self, adapter: str) -> Pin:
        pin = Pin(adapter, datetime.now(UTC).isoformat(timespec="seconds"))
        write_atomically(self._file, msgspec.json.format(msgspec.json.encode(pin), indent=2) + b"\n")
        self.pin = pin
        _log.info("pinned", adapter=adapter)
        return pin

    def take_off(self) -> Pin:
        """The pin that was. Raises Conflict where there is none."""
        if self.pin is None:
            raise Conflict("Nothing is pinned.")
        self._file.unlink(missing_ok=True)
        before, self.pin = self.pin, None
        _log.info("not pinned any more", adapter=before.adapter)
        return before
