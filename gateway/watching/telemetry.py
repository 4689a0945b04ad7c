"""Ended turns as OpenTelemetry spans, sent to the collector that the settings name.

Owns the SDK: nothing else imports it, and this only where an endpoint is set. Spans are made when a turn has ended,
from the times it kept, and sent in batches by a thread of the SDK's own. Knows nothing of attributes' names.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from importlib.metadata import version
from urllib.parse import urlsplit

import structlog
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import SpanKind, Status, StatusCode, Tracer, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from gateway.answering.turn import Turn
from gateway.sections import LOOPBACK
from gateway.watching import conventions

_log = structlog.get_logger("telemetry")

_PATH = "/v1/traces"
_PATIENCE = 3.0  # seconds for a batch, all attempts together; also what a stop may have to wait for


class Telemetry:
    """`content`: whether what was said goes along. `host` and `port` are the gateway's own."""

    def __init__(self, endpoint: str, *, content: bool, host: str, port: int) -> None:
        self._url = endpoint.rstrip("/").removesuffix(_PATH) + _PATH
        self._content = content
        self._collector = urlsplit(endpoint).hostname or ""  # an address may hold a password
        self._leaves_machine = self._collector not in LOOPBACK
        self._host = host
        self._port = port
        self._sender: _Sender | None = None
        self._provider: TracerProvider | None = None
        self._tracer: Tracer | None = None
        self._parents = TraceContextTextMapPropagator()

    def start(self) -> None:
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # what it has to say, _Sender says once
        self._sender = _Sender(OTLPSpanExporter(self._url, timeout=_PATIENCE), self._collector)
        resource = Resource.create({"service.name": "nightschool", "service.version": version("nightschool")})
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(self._sender))
        self._tracer = self._provider.get_tracer("nightschool", version("nightschool"))

    async def stop(self) -> None:
        """Send what waits, if the collector takes it."""
        if self._provider is not None and self._sender is not None:
            self._sender.closing = True
            await asyncio.to_thread(self._provider.shutdown)

    def ended(self, turn: Turn) -> None:
        """A turn is over."""
        if self._tracer is None:
            return
        unix = turn.created - turn.started  # what makes Unix seconds of time.perf_counter
        attributes = conventions.of_turn(turn, self._host, self._port)
        if self._content and self._may_tell(turn):
            attributes |= conventions.content_of(turn)
        span = self._tracer.start_span(
            conventions.span_name(turn.ask.request.model),
            self._parents.extract({"traceparent": turn.ask.traceparent}),
            kind=SpanKind.SERVER,
            attributes=attributes,
            start_time=_nanoseconds(turn.created),
        )
        inside = set_span_in_context(span)
        for call in turn.calls:
            child = self._tracer.start_span(
                conventions.span_name(call.model),
                inside,
                kind=SpanKind.CLIENT,
                attributes=conventions.of_call(turn, call),
                start_time=_nanoseconds(unix + call.since),
            )
            if call.error:
                child.set_status(Status(StatusCode.ERROR))
            child.end(_nanoseconds(unix + call.until))
        if turn.state == "failed":
            span.set_status(Status(StatusCode.ERROR))
        span.end(_nanoseconds(turn.created + turn.seconds["total"]))

    def _may_tell(self, turn: Turn) -> bool:
        """Whether the client's rights let its words go where the spans go."""
        rights = turn.ask.rights
        return rights.record and (rights.may_leave_machine or not self._leaves_machine)


class _Sender(SpanExporter):
    """Sends through another exporter. Says once that the collector does not take spans, and once that it does again."""

    def __init__(self, exporter: SpanExporter, collector: str) -> None:
        self._exporter = exporter
        self._collector = collector
        self._failing = False
        self.closing = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        if self.closing and self._failing:
            return SpanExportResult.FAILURE  # so that a stop does not wait for a collector that is not there
        result = self._exporter.export(spans)
        failing = result is not SpanExportResult.SUCCESS
        if failing and not self._failing:
            _log.warning("spans are lost: the collector does not take them", collector=self._collector)
        elif self._failing and not failing:
            _log.info("the collector takes spans again", collector=self._collector)
        self._failing = failing
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1e9)
