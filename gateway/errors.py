"""The errors of the gateway, one tree, and the one table that turns them into HTTP. A class's docstring is its
default message. Knows nothing of sockets: api.replies writes what is decided here.

GatewayError
├── StartError               the process cannot start; the command line prints the message and stops
│   └── SettingsError        a settings file or variable is wrong
├── NotJson, UnsupportedMedia, TooLarge, OriginRefused, Unauthorized, NotFound, UnknownModel, MethodNotAllowed
├── OverLimit, SpendLimit    a client's limit, or the day's, is reached
├── Overloaded, OverTime     the gateway's own limits: requests at once, seconds for one
├── ShuttingDown             the gateway is about to end
├── MayNotLeave              only a model on another machine could answer, and the client's key forbids that
├── PreviousResponseNotFound a chain of responses whose beginning is not kept (any more)
├── NoThreads                a client of the Messages API wants its conversation to be kept here
├── TracesBusy               traces cannot be forgotten just now
├── Conflict                 an admin call that does not fit the present state
├── MemoryLeased             the memory an engine needs is lent to the night
├── NoRoom                   another model needs the memory and has not become idle
└── BackendError             a model could not answer
    ├── BackendUnreachable   no connection
    ├── BackendTimeout       connected, then silence
    ├── BackendBusy          as many requests wait for it as may
    ├── BackendResting       it failed too often and is left alone for a while
    ├── BackendBroken        an answer that is not one: cut, not JSON, no terminal frame
    └── BackendRefused       the backend answered with an error of its own
"""

from __future__ import annotations

from typing import Any

from router.chat import InvalidRequest


class GatewayError(Exception):
    """The gateway could not do this."""

    def __init__(
        self, message: str | None = None, *, param: str | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())
        self.param = param
        self.retry_after = retry_after


class StartError(GatewayError):
    """Nightschool cannot start."""


class SettingsError(StartError):
    """The settings are wrong."""


class NotJson(GatewayError):
    """The request body is not valid JSON."""


class UnsupportedMedia(GatewayError):
    """The request must be sent as 'content-type: application/json'."""


class TooLarge(GatewayError):
    """The request body is too large."""


class OriginRefused(GatewayError):
    """This gateway takes requests from this machine's own programs only."""


class Unauthorized(GatewayError):
    """This call needs the admin key: 'authorization: Bearer <content of data/admin.key>'."""


class MayNotLeave(GatewayError):
    """Requests of this key may not leave the machine."""


class NotFound(GatewayError):
    """There is nothing here."""


class UnknownModel(GatewayError):
    """There is no such model."""


class PreviousResponseNotFound(GatewayError):
    """The previous response is not kept here."""


class NoThreads(GatewayError):
    """Conversations are not kept here: send all messages each time, without 'thread'."""


class MethodNotAllowed(GatewayError):
    """This method is not allowed here."""

    def __init__(self, message: str | None = None, *, allow: str = "") -> None:
        super().__init__(message)
        self.allow = allow  # the methods that are, as the header tells them


class Conflict(GatewayError):
    """This does not fit the present state."""


class TracesBusy(GatewayError):
    """The traces cannot be forgotten just now; they will be as soon as they can."""


class OverLimit(GatewayError):
    """This key has reached its limit."""


class SpendLimit(GatewayError):
    """The day's spending limit is reached."""


class Overloaded(GatewayError):
    """The gateway has as many requests under way as it may."""


class OverTime(GatewayError):
    """The request took longer than gateway.max_seconds."""


class ShuttingDown(GatewayError):
    """The gateway is shutting down; try again in a moment."""


class MemoryLeased(GatewayError):
    """The memory this model needs is lent to the night; try again later."""


class NoRoom(GatewayError):
    """Another model is at work in the memory that this one needs; try again later."""


class BackendError(GatewayError):
    """The model could not answer."""


class BackendUnreachable(BackendError):
    """The model cannot be reached."""


class BackendTimeout(BackendError):
    """The model did not answer in time."""


class BackendBusy(BackendError):
    """As many requests wait for this model as may; try again later."""


class BackendResting(BackendError):
    """This model's server failed several times in a row and is left alone for a while."""


class BackendBroken(BackendError):
    """The model's answer was cut off or is not valid."""


class BackendRefused(BackendError):
    """The model's server answered with an error."""

    def __init__(self, status: int, message: str, code: str | None = None, retry_after: float | None = None) -> None:
        super().__init__(message, retry_after=retry_after)
        self.status = status
        self.code = code


# error class → HTTP status, OpenAI's error type, code
TABLE: dict[type[Exception], tuple[int, str, str | None]] = {
    InvalidRequest: (400, "invalid_request_error", None),
    NotJson: (400, "invalid_request_error", "invalid_json"),
    PreviousResponseNotFound: (400, "invalid_request_error", "previous_response_not_found"),
    NoThreads: (400, "invalid_request_error", "thread_unsupported_request"),
    Unauthorized: (401, "authentication_error", "invalid_api_key"),
    OriginRefused: (403, "permission_error", "origin_refused"),
    MayNotLeave: (403, "permission_error", "may_not_leave_machine"),
    UnknownModel: (404, "invalid_request_error", "model_not_found"),
    NotFound: (404, "invalid_request_error", "not_found"),
    MethodNotAllowed: (405, "invalid_request_error", "method_not_allowed"),
    Conflict: (409, "invalid_request_error", "conflict"),
    TooLarge: (413, "invalid_request_error", "request_too_large"),
    UnsupportedMedia: (415, "invalid_request_error", "unsupported_media_type"),
    OverLimit: (429, "rate_limit_error", "rate_limit_exceeded"),
    SpendLimit: (429, "rate_limit_error", "spend_limit_reached"),
    BackendBroken: (502, "server_error", "backend_broken"),
    BackendUnreachable: (503, "server_error", "backend_unreachable"),
    BackendTimeout: (503, "server_error", "backend_timeout"),
    BackendBusy: (503, "server_error", "overloaded"),
    BackendResting: (503, "server_error", "backend_resting"),
    TracesBusy: (503, "server_error", "traces_busy"),
    MemoryLeased: (503, "server_error", "memory_leased"),
    NoRoom: (503, "server_error", "no_room"),
    Overloaded: (503, "server_error", "overloaded"),
    ShuttingDown: (503, "server_error", "shutting_down"),
    OverTime: (504, "server_error", "timeout"),
}
_UNEXPECTED = (500, "server_error", "internal_error")
_REFUSED = "backend_refused"
CODES = frozenset({_REFUSED, *(code or kind for _, kind, code in [*TABLE.values(), _UNEXPECTED])})
_RETRY_SECONDS = 2.0  # what a client is told when a backend that should be there is not


def http_answer(error: Exception) -> tuple[int, dict[str, Any], float | None]:
    """Status, OpenAI-shaped body and seconds for Retry-After (or None) of any error."""
    if isinstance(error, BackendRefused):
        return _refused(error)
    status, kind, code = TABLE.get(type(error), _UNEXPECTED)
    message = str(error) if status != 500 else "The gateway failed; its log says why."
    retry = getattr(error, "retry_after", None)
    if retry is None and status in (502, 503):
        retry = _RETRY_SECONDS
    return status, error_body(message, kind, code, getattr(error, "param", None)), retry


def code_of(error: Exception) -> str:
    """One of CODES for any error: its code, or its type where it has none."""
    if isinstance(error, BackendRefused):
        return _REFUSED  # what a backend calls it is not ours, and there is no end of that
    _, kind, code = TABLE.get(type(error), _UNEXPECTED)
    return code or kind


def error_body(message: str, kind: str, code: str | None, param: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def _refused(error: BackendRefused) -> tuple[int, dict[str, Any], float | None]:
    """A backend's refusal of the request is the client's business; one of our key, or a breakdown, is not."""
    if error.status == 429:
        return (
            429,
            error_body(str(error), "rate_limit_error", "rate_limit_exceeded"),
            error.retry_after or _RETRY_SECONDS,
        )
    if 400 <= error.status < 500 and error.status not in (401, 403):
        return error.status, error_body(str(error), "invalid_request_error", error.code), error.retry_after
    status = 503 if error.status == 503 else 502
    message = f"The model's server answered with status {error.status}: {error}"
    return status, error_body(message, "server_error", _REFUSED), error.retry_after or _RETRY_SECONDS
