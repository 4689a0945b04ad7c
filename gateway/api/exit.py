"""The way out: once the gateway is closing, new requests are told to come back or to go elsewhere.

Owns that refusal, and that every request is counted while it lasts. Knows nothing of what is asked.
"""

from __future__ import annotations

from litestar.types import ASGIApp, Receive, Scope, Send

from gateway.access.underway import UnderWay
from gateway.api.forms import form_of
from gateway.api.replies import send_error, skip
from gateway.errors import ShuttingDown

_OPEN = ("/health", "/metrics")  # for those who watch: load balancers see that no more is taken
_READ_BYTES = 32 * 1024 * 1024  # of a body that nobody wants


class Exit:
    """An ASGI app in front of another."""

    def __init__(self, app: ASGIApp, under_way: UnderWay) -> None:
        self._app = app
        self._under_way = under_way

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or scope["path"] in _OPEN:  # type: ignore[comparison-overlap]  # as in Door
            await self._app(scope, receive, send)
            return
        try:
            self._under_way.check_open()
        except ShuttingDown as error:
            await skip(receive, _READ_BYTES)
            await send_error(send, error, [(b"connection", b"close")], form=form_of(scope["path"]))
            return
        with self._under_way.entered():
            await self._app(scope, receive, send)
