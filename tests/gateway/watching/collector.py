"""A collector of OpenTelemetry: a real HTTP server that takes OTLP as protobuf and keeps the spans."""

from __future__ import annotations

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span


class Collector:
    """Use it as a context. `status` is what it answers with; spans are kept where that is 200."""

    def __init__(self, port: int = 0, status: int = 200) -> None:
        self.status = status
        self.posts = 0
        self.headers: list[dict[str, str]] = []
        self.spans: list[Span] = []
        self.resource: dict[str, Any] = {}
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                collector.take(self.path, {k.lower(): v for k, v in self.headers.items()}, body)
                self.send_response(collector.status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def take(self, path: str, headers: dict[str, str], body: bytes) -> None:
        assert path == "/v1/traces"
        self.posts += 1
        self.headers.append(headers)
        if self.status == 200:
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                self.resource = values(resource.resource)
                self.spans += [span for scope in resource.scope_spans for span in scope.spans]

    def wait(self, count: int, seconds: float = 20.0) -> list[Span]:
        """The spans once there are so many, the earliest first."""
        end = time.monotonic() + seconds
        while len(self.spans) < count:
            assert time.monotonic() < end, self.spans
            time.sleep(0.05)
        return sorted(self.spans, key=lambda span: span.start_time_unix_nano)

    def __enter__(self) -> Collector:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


def values(of: Any) -> dict[str, Any]:
    """The attributes of a span or a resource."""
    return {pair.key: _value(pair.value) for pair in of.attributes}


def _value(told: AnyValue) -> Any:
    kind = told.WhichOneof("value")
    if kind == "array_value":
        return [_value(one) for one in told.array_value.values]
    return getattr(told, str(kind))
