"""How the log is written, on stderr: for people, or as JSON lines.

Owns the form of a line, and that no traceback of the gateway tells what was said unless the settings ask for it. Knows
nothing of who logs what.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import traceback
from types import TracebackType
from typing import Any, Literal

import msgspec
import structlog

from gateway.sections import GatewaySettings

Form = Literal["text", "json"]

_ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]


def configure(form: Form = "text", *, words: bool = True) -> None:
    """Set the form of everything that is logged. `words`: whether a traceback tells the exceptions' messages too, which
    may quote a request."""
    text = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info if words else structlog.processors.ExceptionRenderer(_places),
            text if form == "text" else structlog.processors.JSONRenderer(serializer=_json),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=lambda *_: _Lines(),
        cache_logger_on_first_use=True,
    )


def configure_gateway(settings: GatewaySettings) -> Form:
    """The log of `serve`, and of the libraries in it; its form. Where none is asked for, a terminal gets text and
    everything else JSON."""
    asked = settings.log
    form: Form = asked if asked in ("text", "json") else "text" if sys.stderr.isatty() else "json"
    configure(form, words=settings.log_content)
    logging.basicConfig(handlers=[_FromLibraries(logging.WARNING)], force=True)
    if settings.log_content:
        structlog.get_logger("log").warning("requests and answers are logged: gateway.log_content is true")
    return form


class _Lines:
    """Where lines go. A log that cannot be written, as on a full disk, costs lines and never an answer."""

    def msg(self, line: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(line + "\n")
            sys.stderr.flush()

    debug = info = warning = error = critical = exception = msg


class _FromLibraries(logging.Handler):
    """What libraries log, in the same form. Of their messages only the first line: further ones quote values."""

    def emit(self, record: logging.LogRecord) -> None:
        log = structlog.get_logger(record.name)
        said = record.getMessage().partition("\n")[0]
        log.log(record.levelno, said, logger=record.name, exc_info=record.exc_info or None)


def _places(exc_info: _ExcInfo) -> str:
    """A traceback without the exceptions' messages."""
    parts: list[str] = []
    error: BaseException | None = exc_info[1]
    while error is not None:
        kind = type(error)
        parts.append("".join(traceback.format_tb(error.__traceback__)) + f"{kind.__module__}.{kind.__qualname__}")
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\nwhich came of:\n".join(parts)


def _json(value: Any, **_: Any) -> str:
    return msgspec.json.encode(value, enc_hook=repr).decode()
