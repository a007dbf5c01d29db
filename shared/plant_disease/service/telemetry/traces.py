"""Spans for OpenTelemetry, exported over OTLP. Imported only where they are on.

A span for each request and for each load of a model, with one inside for each of its steps. The spans of steps are
made from the record when it is complete: what is traced knows nothing of traces.
"""

import logging
import os
import re
import sys
import threading
import time

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from plant_disease import __version__
from plant_disease.service.telemetry.context import TraceContext
from plant_disease.service.telemetry.logs import SCRAPED, JsonFormatter
from plant_disease.service.telemetry.process import is_lambda
from plant_disease.service.telemetry.records import OTHER, Record, Sink

_UNTRACED = frozenset({SCRAPED, "/health/live", "/health/ready", "channel_read"})
"""Routes and tasks that come around every few seconds."""

_ANSWER_WAIT_S = 0.25
"""Seconds that an answer may wait for the collector, where the process is frozen after it."""

_EXIT_WAIT_S = 3.0
"""Seconds that the end of the process may wait; Cloud Run grants 10 in all."""

_COMPLAINT_PAUSE_S = 300.0


class Traces(Sink):
    """Spans of this process, in a trace provider of its own.

    Spans wait in a queue of bounded length, which a thread of the SDK sends off. A collector that is down or slow costs
    spans and nothing else.
    """

    def __init__(self) -> None:
        _tame_the_log()
        named = {
            "service.name": os.environ.get("AWS_LAMBDA_FUNCTION_NAME")
            or os.environ.get("K_SERVICE")
            or "plant-disease",
            "service.version": __version__,
            **OTELResourceDetector().detect().attributes,
        }
        # A process must end when it should; the SDK would wait for half a minute.
        provider = TracerProvider(resource=Resource.create(named), shutdown_on_exit=False)
        self._processor = BatchSpanProcessor(OTLPSpanExporter())
        provider.add_span_processor(self._processor)
        self._tracer = provider.get_tracer("plant_disease", __version__)
        self._is_lambda = is_lambda()
        self._flushing: threading.Thread | None = None

    def started(self, noted: Record) -> None:
        """See `Sink`. From here on the record is in the trace of its own span."""
        noted.span = self._tracer.start_span(
            noted.name,
            context=_context_of(noted.trace),
            kind=trace.SpanKind.SERVER if noted.http else trace.SpanKind.INTERNAL,
            start_time=noted.started_ns,
        )
        context = noted.span.get_span_context()
        if context.is_valid:
            trace_id, span_id = trace.format_trace_id(context.trace_id), trace.format_span_id(context.span_id)
            noted.trace = TraceContext(trace_id, span_id, context.trace_flags.sampled)

    def finished(self, noted: Record) -> None:
        """See `Sink`."""
        what = noted.http.route if noted.http else noted.name
        span: trace.Span = noted.span
        if what in _UNTRACED or not span.is_recording():
            return  # a span that is never ended is never exported
        inside = trace.set_span_in_context(span)
        for step in noted.steps:
            part = self._tracer.start_span(step.name, context=inside, start_time=_ns(noted, step.start))
            if step.error:
                part.set_attribute("error.type", step.error)
                part.set_status(trace.StatusCode.ERROR)
            part.end(_ns(noted, step.end))
        _describe(span, noted)
        span.end(_ns(noted, time.perf_counter()))
        if noted.http and self._is_lambda:
            self._flush(_ANSWER_WAIT_S)

    def close(self) -> None:
        """See `Sink`."""
        self._flush(_EXIT_WAIT_S)

    def _flush(self, wait_s: float) -> None:
        """Have all finished spans sent, and wait so long for it; not at all while an earlier flush still hangs."""
        if self._flushing is None or not self._flushing.is_alive():
            self._flushing = threading.Thread(target=self._processor.force_flush, name="traces", daemon=True)
            self._flushing.start()
            self._flushing.join(wait_s)


def _context_of(place: TraceContext | None) -> Context:
    """A context without anything of this thread's, in the given trace."""
    if place is None or place.span_id is None:
        return Context()
    parent = trace.SpanContext(
        int(place.trace_id, 16), int(place.span_id, 16), is_remote=True, trace_flags=trace.TraceFlags(place.sampled)
    )
    return trace.set_span_in_context(trace.NonRecordingSpan(parent), Context())


def _describe(span: trace.Span, noted: Record) -> None:
    """Name and attributes, by OpenTelemetry's conventions where there are some.

    https://opentelemetry.io/docs/specs/semconv/http/http-spans/#http-server
    """
    told = {name: value for name, value in noted.fields.items() if isinstance(value, str | int | float)}
    attributes = {f"plant.{name}": value for name, value in told.items()}
    error = noted.error
    if http := noted.http:
        span.update_name(f"{http.verb} {http.route}")
        attributes |= {
            "http.request.method": http.verb if http.verb != OTHER else "_OTHER",
            "http.route": http.route,
            "plant.request_id": noted.request_id,
        }
        if http.status:
            attributes["http.response.status_code"] = http.status
        if http.status is None or http.status >= 500:
            error = error or noted.fields.get("code") or "no_answer"
        if noted.decisions.total() == 1:
            (attributes["plant.decision"],) = noted.decisions
    if error:
        attributes["error.type"] = error
        span.set_status(trace.StatusCode.ERROR)
    span.set_attributes(attributes)


def _ns(noted: Record, moment: float) -> int:
    return noted.started_ns + round((moment - noted.started) * 1e9)


def _tame_the_log() -> None:
    """Have the SDK complain in our lines, seldom, and without what may be a secret."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter())
    handler.addFilter(_Seldom())
    log = logging.getLogger("opentelemetry")
    log.handlers = [handler]
    log.propagate = False
    # Repeats a header that it cannot read, and headers for a collector are where keys are.
    logging.getLogger("opentelemetry.util.re").setLevel(logging.CRITICAL)


class _Seldom(logging.Filter):
    """Lets the same complaint pass once in five minutes, without tracebacks and without the query of any address."""

    def __init__(self) -> None:
        super().__init__()
        self._next: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        now = time.monotonic()
        if now < self._next.get(record.msg, 0):
            return False
        self._next[record.msg] = now + _COMPLAINT_PAUSE_S
        record.msg, record.args = re.sub(r"\?\S+", "", record.getMessage()), ()
        record.exc_info = None
        return True
