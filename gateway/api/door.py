"""Who may come in: a gateway without keys serves programs on this machine; web pages may if their origin is listed.

Owns the checks of Host and Origin before anything else is read, and what a browser is told of them (CORS). Knows
nothing of keys.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from litestar.types import ASGIApp, Message, Receive, Scope, Send

from gateway.api.forms import form_of
from gateway.api.replies import header, send_error
from gateway.errors import OriginRefused
from gateway.sections import LOOPBACK

_ADMIN = "/admin"
_EXPOSED = b"x-nightschool-served-by, x-nightschool-reason, x-nightschool-trace, retry-after"
_PREFLIGHT_SECONDS = b"600"

Headers = list[tuple[bytes, bytes]]


class Door:
    """An ASGI app in front of another. A browser sends Origin with what a page does; a rebound name shows in Host.

    `origins` are those whose pages may come in; `keyed` says whether clients must show a key: then they may come under
    any name of the machine. Both are asked at each request. `refused` hears of those that may not come in.
    """

    def __init__(
        self,
        app: ASGIApp,
        origins: Callable[[], Collection[str]] = lambda: (),
        keyed: Callable[[], bool] = lambda: False,
        refused: Callable[[Exception], None] = lambda error: None,
    ) -> None:
        self._app = app
        self._refused = refused
        self._origins = origins
        self._keyed = keyed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":  # type: ignore[comparison-overlap]  # Litestar leaves it out of the type
            await self._app(scope, receive, send)
            return
        origin = header(scope, b"origin")
        reason = self._refusal(scope, origin)
        if reason:
            error = OriginRefused(reason)
            self._refused(error)
            await send_error(send, error, form=form_of(scope["path"]))
        elif not origin or scope["path"].startswith(
            _ADMIN
        ):  # what pages are told nothing about, browsers keep from them
            await self._app(scope, receive, send)
        elif scope.get("method") == "OPTIONS":
            await _answer_preflight(scope, send, origin)
        else:
            await self._app(scope, receive, _telling(send, origin))

    def _refusal(self, scope: Scope, origin: str) -> str:
        if not self._keyed():
            host = header(scope, b"host")
            if _name(host) not in LOOPBACK:
                return f"The Host header '{host[:100]}' is not a name of this machine; use 127.0.0.1."
        if origin and origin not in self._origins():
            return f"Pages of {origin[:100]} may not use this gateway; gateway.origins lists those that may."
        return ""


async def _answer_preflight(scope: Scope, send: Send, origin: str) -> None:
    """Tell a browser that a page of a listed origin may do what it asks about; its key is checked when it does it."""
    asked = header(scope, b"access-control-request-headers")
    headers: Headers = [
        *_allowing(origin),
        (b"access-control-allow-methods", b"GET, POST, DELETE"),
        (b"access-control-allow-headers", asked.encode("latin-1")),
        (b"access-control-max-age", _PREFLIGHT_SECONDS),
    ]
    await send({"type": "http.response.start", "status": 204, "headers": headers})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def _telling(send: Send, origin: str) -> Send:
    """Lets the page read what is sent."""

    async def tell(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = [*message["headers"], *_allowing(origin), (b"access-control-expose-headers", _EXPOSED)]
            message = {**message, "headers": headers}
        await send(message)

    return tell


def _allowing(origin: str) -> Headers:
    return [(b"access-control-allow-origin", origin.encode("latin-1")), (b"vary", b"origin")]


def _name(host: str) -> str:
    """The host without its port; [::1]:8787 as ::1."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]
