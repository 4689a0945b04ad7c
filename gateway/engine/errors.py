"""What can go wrong in the engine, and the table that turns it into HTTP. A docstring is the default message.

GatewayError (gateway.errors; from there also StartError, NotJson, UnsupportedMedia, UnknownModel, NotFound)
└── EngineError
    ├── ContextExceeded   the prompt is longer than the model's context
    ├── NotSupported      valid for OpenAI, but this engine cannot do it
    ├── GrammarRefused    a schema cannot be enforced, and why
    ├── AdapterRefused    an adapter was not loaded, and why
    ├── NoSuchAdapter     no adapter of that name is loaded
    ├── EngineBusy        the queue is full
    └── EngineDown        the generation thread is dead or stopping

Knows nothing of sockets or MLX.
"""

from __future__ import annotations

from typing import Any

from distill.errors import AdapterError, ModelError
from gateway import errors
from gateway.errors import GatewayError, error_body


class EngineError(GatewayError):
    """The engine could not do this."""


class ContextExceeded(EngineError):
    """The prompt is longer than the model's context."""


class NotSupported(EngineError):
    """This engine cannot do that."""


class GrammarRefused(EngineError):
    """This schema cannot be enforced."""


class AdapterRefused(EngineError):
    """The adapter cannot be loaded."""


class NoSuchAdapter(EngineError):
    """There is no such adapter."""


class EngineDown(EngineError):
    """The model is not running; it will be back in a moment."""


class EngineBusy(EngineError):
    """The engine has as much to do as it can; try again later."""


_INVALID = "invalid_request_error"

# error class → HTTP status, OpenAI's error type, code; what is not here is in the gateway's own table
TABLE: dict[type[Exception], tuple[int, str, str | None]] = {
    ContextExceeded: (400, _INVALID, "context_length_exceeded"),
    NotSupported: (400, _INVALID, "unsupported_parameter"),
    GrammarRefused: (400, _INVALID, "invalid_schema"),
    AdapterRefused: (400, _INVALID, "adapter_refused"),
    AdapterError: (400, _INVALID, "adapter_refused"),
    ModelError: (400, _INVALID, "template_refused"),  # while requests are served only the chat template raises it
    NoSuchAdapter: (404, _INVALID, "adapter_not_found"),
    EngineBusy: (503, "server_error", "overloaded"),
    EngineDown: (503, "server_error", "engine_down"),
}


def http_answer(error: Exception) -> tuple[int, dict[str, Any], float | None]:
    """Status, OpenAI-shaped body and seconds for Retry-After (or None) of any error."""
    row = TABLE.get(type(error))
    if row is None:
        return errors.http_answer(error)
    status, kind, code = row
    body = error_body(str(error), kind, code, getattr(error, "param", None))
    wait = getattr(error, "retry_after", None) or 1.0
    return status, body, wait if status == 503 else None
