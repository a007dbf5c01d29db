"""Metrics for Prometheus. Imported only where they are on."""

from functools import partial
from typing import get_args

from fastapi import Response
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from plant_disease.classifier import Decision
from plant_disease.service.telemetry.records import Http, Record, Sink

_REQUEST_S = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30)
_STEP_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
_LOAD_S = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60)

_LIMIT_OUTCOMES = ("allowed", "limited", "quota", "error")


class Metrics(Sink):
    """The metrics of this process. Each label has few values, and none that a caller can choose.

    One process is one container here; several in one container would each show their own.
    """

    def __init__(self) -> None:
        # They double the number of series, and nobody asks when a counter began.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        counter, gauge = partial(Counter, registry=registry), partial(Gauge, registry=registry)
        histogram = partial(Histogram, registry=registry)

        self._requests = counter("plant_requests_total", "Requests answered.", ["method", "path", "status"])
        self._duration = histogram(
            "plant_request_duration_seconds",
            "Time from a request to the end of its answer.",
            ["method", "path"],
            buckets=_REQUEST_S,
        )
        self._in_flight = gauge("plant_requests_in_flight", "Requests being answered, the scrape itself included.")
        self._steps = histogram(
            "plant_step_duration_seconds", "Time that a part of a request took.", ["step"], buckets=_STEP_S
        )
        self._problems = counter("plant_problems_total", "Problems, of requests and of items of batches.", ["code"])
        self._decisions = counter("plant_decisions_total", "Plants judged.", ["decision"])
        self._photos = counter("plant_photos_diagnosed_total", "Photos diagnosed.")
        self._limits = counter("plant_limiter_outcomes_total", "Requests by what the limiter said.", ["outcome"])
        self._loads = counter("plant_model_loads_total", "Attempts to load a model.", ["outcome"])
        self._load_duration = histogram(
            "plant_model_load_duration_seconds", "Time that loading a model took.", ["outcome"], buckets=_LOAD_S
        )
        self._cold_start = histogram(
            "plant_cold_start_seconds", "Time from the start of the process to its first model.", buckets=_LOAD_S
        )
        self._loaded = gauge("plant_model_loaded", "1 if a model is there to answer, else 0.")
        self._model = gauge("plant_model_info", "1 for the model served.", ["name", "version", "sha256"])
        self._channel_read = gauge(
            "plant_model_channel_read_timestamp_seconds", "When the channel was last read.", ["channel"]
        )
        # A series that begins with the first event has no increase to show for it.
        for decision in get_args(Decision):
            self._decisions.labels(decision)
        for outcome in _LIMIT_OUTCOMES:
            self._limits.labels(outcome)
        for outcome in ("loaded", "failed"):
            self._loads.labels(outcome)

    async def expose(self) -> Response:
        """All of them, as Prometheus reads them."""
        return Response(generate_latest(self._registry), media_type=CONTENT_TYPE_PLAIN_0_0_4)

    def started(self, noted: Record) -> None:
        """See `Sink`."""
        if noted.http:
            self._in_flight.inc()

    def finished(self, noted: Record) -> None:
        """See `Sink`."""
        if noted.http:
            self._count_request(noted, noted.http)
        elif noted.name == "model_load":
            self._count_load(noted)
        elif noted.name == "channel_read" and not noted.error:
            self._channel_read.labels(noted.fields["channel"]).set_to_current_time()

    def _count_request(self, noted: Record, http: Http) -> None:
        self._in_flight.dec()
        self._requests.labels(http.verb, http.route, http.status or "none").inc()
        self._duration.labels(http.verb, http.route).observe(noted.total_ms() / 1000)
        for step in noted.steps:
            self._steps.labels(step.name).observe(step.end - step.start)
        for code, count in noted.problems.items():
            self._problems.labels(code).inc(count)
        for decision, count in noted.decisions.items():
            self._decisions.labels(decision).inc(count)
        self._photos.inc(noted.diagnosed)
        if (outcome := noted.fields.get("limit")) in _LIMIT_OUTCOMES:
            self._limits.labels(outcome).inc()

    def _count_load(self, noted: Record) -> None:
        outcome = "failed" if noted.error else "loaded"
        self._loads.labels(outcome).inc()
        self._load_duration.labels(outcome).observe(noted.total_ms() / 1000)
        if not noted.error:
            self._loaded.set(1)
            self._model.clear()
            self._model.labels(*map(noted.fields.get, ("model", "model_version", "model_sha256"))).set(1)
        if cold_start_ms := noted.fields.get("cold_start_ms"):
            self._cold_start.observe(cold_start_ms / 1000)
