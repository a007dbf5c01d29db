"""A collector of OpenTelemetry spans: what a service sends is parsed as OTLP."""

import gzip
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True)
class Span:
    """A span as it arrived, ids in hexadecimal.

    Attributes:
        resource: attributes of the process.
        raw: the whole of it as text.
    """

    name: str
    trace_id: str
    span_id: str
    parent_id: str
    kind: int
    start_ns: int
    end_ns: int
    is_error: bool
    attributes: dict[str, Any]
    resource: dict[str, Any]
    raw: str


class Collector:
    """An HTTP server that takes OTLP at /v1/traces.

    Attributes:
        url: where it listens.
        headers: of each request, with names in lower case.
    """

    def __init__(self) -> None:
        self.headers: list[dict[str, str]] = []
        self._spans: list[Span] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                collector.headers.append({name.lower(): value for name, value in self.headers.items()})
                if self.headers["Content-Encoding"] == "gzip":
                    body = gzip.decompress(body)
                known = self.path == "/v1/traces" and self.headers["Content-Type"] == "application/x-protobuf"
                if known:
                    collector._spans += _spans(ExportTraceServiceRequest.FromString(body))
                self.send_response(200 if known else 404)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def spans(self) -> list[Span]:
        """All that have come so far."""
        return list(self._spans)

    def trace(self, request_id: str) -> list[Span]:
        """Those that have come so far in the trace of a request, in the order of their starts."""
        spans = self.spans()
        traces = {span.trace_id for span in spans if span.attributes.get("plant.request_id") == request_id}
        return sorted((span for span in spans if span.trace_id in traces), key=lambda span: span.start_ns)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


def _spans(request: ExportTraceServiceRequest) -> list[Span]:
    return [
        Span(
            name=span.name,
            trace_id=span.trace_id.hex(),
            span_id=span.span_id.hex(),
            parent_id=span.parent_span_id.hex(),
            kind=span.kind,
            start_ns=span.start_time_unix_nano,
            end_ns=span.end_time_unix_nano,
            is_error=span.status.code == span.status.STATUS_CODE_ERROR,
            attributes=_dict(span.attributes),
            resource=_dict(of_resource.resource.attributes),
            raw=str(span),
        )
        for of_resource in request.resource_spans
        for of_scope in of_resource.scope_spans
        for span in of_scope.spans
    ]


def _dict(attributes: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}
