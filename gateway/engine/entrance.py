"""Who may talk to an engine: the owner of its Unix socket, whoever has its key, or programs of this machine.

Owns that choice. The rules for this machine are the gateway's own (gateway.api.door). Knows nothing of routes.
"""

from __future__ import annotations

import hmac

from litestar.types import ASGIApp, Receive, Scope, Send

from gateway.api.door import Door
from gateway.api.replies import header, send_error
from gateway.errors import StartError, Unauthorized
from gateway.sections import LOOPBACK


def check_reach(host: str, key: str) -> None:
    """Raises StartError for an address that others can reach, unless there is a key."""
    if host not in LOOPBACK and not key:
        raise StartError(
            f"--host {host} is an address that others can reach: name the environment variable that holds a key with "
            "--api-key-env, or use 127.0.0.1"
        )


def guarded(app: ASGIApp, *, socket: bool, key: str) -> ASGIApp:
    """The app behind the check that its address calls for. A Unix socket has file permissions and needs none."""
    if socket:
        return app
    return _Keyed(app, key) if key else Door(app)


class _Keyed:
    """Lets in who sends the key; GET /health is for everybody, and says nothing about requests."""

    def __init__(self, app: ASGIApp, key: str) -> None:
        self._app = app
        self._expected = f"Bearer {key}".encode("latin-1", "replace")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan" and scope["path"] != "/health":  # type: ignore[comparison-overlap]
            given = header(scope, b"authorization").encode("latin-1", "replace")
            if not hmac.compare_digest(given, self._expected):
                error = Unauthorized("This engine wants its key: 'authorization: Bearer <key>'.")
                await send_error(send, error, [(b"www-authenticate", b"Bearer")])
                return
        await self._app(scope, receive, send)
