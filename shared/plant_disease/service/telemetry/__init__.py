"""Who asked what, how long it took and how it ended.

    records.py      what is noted about the work at hand, while it goes on
    middleware.py   the edge of all requests: ids, Server-Timing, and an answer whatever happens inside
    context.py      which trace a request is in: W3C, X-Ray
    storage.py      reads of a store as steps
    process.py      this process: its age, its platform

and what is made of a record when it is complete, each for itself:

    logs.py         one line a request
    emf.py          metrics inside these lines, on Lambda
    metrics.py      metrics for Prometheus
    traces.py       spans for OpenTelemetry
"""

from typing import TYPE_CHECKING

from plant_disease.errors import ConfigurationError
from plant_disease.service.telemetry.logs import RequestLog, configure_logging, logger
from plant_disease.service.telemetry.middleware import Telemetry
from plant_disease.service.telemetry.process import age_s, is_lambda
from plant_disease.service.telemetry.records import Record, Sink, record, request_id, send_to, task, timed
from plant_disease.service.telemetry.storage import timed_store
from plant_disease.settings import Settings

if TYPE_CHECKING:
    from plant_disease.service.telemetry.metrics import Metrics

__all__ = [
    "Record",
    "Telemetry",
    "age_s",
    "configure_logging",
    "configure_telemetry",
    "logger",
    "record",
    "request_id",
    "task",
    "timed",
    "timed_store",
]


def configure_telemetry(settings: Settings) -> "Metrics | None":
    """Have this process write what the settings say.

    Returns:
        What `/metrics` shows; None where there is no such address.

    Raises:
        ConfigurationError: something is on whose extra is not installed.
    """
    sinks: list[Sink] = [RequestLog()]
    metrics = None
    if settings.metrics == "on" and is_lambda():
        from plant_disease.service.telemetry.emf import EmbeddedMetrics

        embedded = EmbeddedMetrics()
        configure_logging(settings.log_level, completed=embedded.complete)
        sinks.append(embedded)
    else:
        configure_logging(settings.log_level)
    try:
        if settings.metrics == "on" and not is_lambda():
            from plant_disease.service.telemetry.metrics import Metrics

            metrics = Metrics()
            sinks.append(metrics)
        if settings.traces == "otlp":
            from plant_disease.service.telemetry.traces import Traces

            # Outermost: what the others write names its span, and it may wait for a collector when they are done.
            sinks.insert(0, Traces())
    except ModuleNotFoundError as error:
        extra = "metrics" if error.name == "prometheus_client" else "traces"
        raise ConfigurationError(
            f"PLANT_{extra.upper()} is on and needs an extra ({error.name} is missing): "
            f'pip install "plant-disease-detector[{extra}]"'
        ) from error
    send_to(*sinks)
    return metrics
