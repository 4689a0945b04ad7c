"""Who may come in: a gateway without keys serves programs on this machine, and no web page.

Owns the checks of Host and Origin, before anything else is read, and whose a request is. Knows nothing of routes.
"""

from __future__ import annotations

from collections.abc import Collection

from litestar.types import ASGIApp, Receive, Scope, Send

from gateway.api.replies import header, send_error
from gateway.errors import OriginRefused
from gateway.settings import LOOPBACK


class Door:
    """An ASGI app in front of another. A browser sends Origin with what a page does; a rebound name shows in Host."""

    def __init__(self, app: ASGIApp, origins: Collection[str]) -> None:
        self._app = app
        self._origins = frozenset(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":  # type: ignore[comparison-overlap]  # Litestar leaves it out of the type
            reason = self._refusal(scope)
            if reason:
                await send_error(send, OriginRefused(reason))
                return
        await self._app(scope, receive, send)

    def _refusal(self, scope: Scope) -> str:
        host = header(scope, b"host")
        if _name(host) not in LOOPBACK:
            return f"The Host header '{host[:100]}' is not a name of this machine; use 127.0.0.1."
        origin = header(scope, b"origin")
        if origin and origin not in self._origins:
            return f"Pages of {origin[:100]} may not use this gateway; gateway.origins lists those that may."
        return ""


def owner_of(scope: Scope) -> str:
    """Whose is what a request leaves behind in memory. Without keys all programs on this machine are one owner."""
    return ""


def _name(host: str) -> str:
    """The host without its port; [::1]:8787 as ::1."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]
