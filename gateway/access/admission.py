"""Who comes in with a request, and whether there is room: keys, the admin key and limits at one place.

Knows nothing of what is asked, nor of how a refusal is told.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager

from litestar.types import Scope

from gateway.access.keys import ADMIN, Client, KeyRing
from gateway.access.limits import Limits
from gateway.errors import Unauthorized

_ANYBODY = Client("")
_ADMIN = Client(ADMIN)


class Admission:
    """The gateway's entrance. `public`: without keys it is shut, not open. `admin_key` is known from the start on."""

    def __init__(self, ring: KeyRing, *, public: bool, at_once: int) -> None:
        self.ring = ring
        self.admin_key = ""
        self._public = public
        self.limits = Limits(at_once, time.monotonic)

    @property
    def keyed(self) -> bool:
        """Whether a client must show a key."""
        return self._public or not self.ring.empty

    def is_admin(self, secret: str) -> bool:
        return secrets.compare_digest(secret.encode(errors="replace"), self.admin_key.encode())

    def client(self, scope: Scope) -> Client:
        """Who asks, by the key that is shown. Raises Unauthorized."""
        shown = _shown(scope)
        if any(self.is_admin(secret) for secret in shown):
            return _ADMIN
        if not self.keyed:
            return _ANYBODY
        found = next((key for secret in shown if (key := self.ring.find(secret)) is not None), None)
        if found is None:
            raise Unauthorized(
                "This gateway does not know the key."
                if shown
                else "This gateway wants a key: 'authorization: Bearer <key>' or 'x-api-key: <key>'."
            )
        return found

    @contextmanager
    def enter(self, scope: Scope) -> Iterator[Client]:
        """Who asks, with a place under the limits that is held while the block lasts.

        Raises Unauthorized, OverLimit or Overloaded.
        """
        client = self.client(scope)
        with self.limits.held(client.name, rate=client.rate, at_once=client.at_once):
            yield client


def _shown(scope: Scope) -> list[str]:
    """The keys in a request's headers: clients of OpenAI's wires send the one, of Anthropic's the other, some both."""
    found = []
    for name, value in scope["headers"]:
        if name == b"authorization":
            kind, _, secret = value.decode("latin-1").partition(" ")
            found += [secret.strip()] if kind.lower() == "bearer" else []
        elif name == b"x-api-key":
            found.append(value.decode("latin-1").strip())
    return [secret for secret in found if secret]
