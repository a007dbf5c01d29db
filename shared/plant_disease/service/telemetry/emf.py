"""Metrics inside log lines, for Lambda, where nobody can scrape: CloudWatch's embedded metric format.

A line says in `_aws` which of its own fields are metrics and which are dimensions, so there is no second line.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

import os
import time
from collections.abc import Mapping, Sequence
from typing import Any

from plant_disease.service.telemetry.logs import Line
from plant_disease.service.telemetry.records import Record, Sink

NAMESPACE = "PlantDisease"

_OF_REQUESTS = {
    "receive_ms": "Milliseconds",
    "load_ms": "Milliseconds",
    "decode_ms": "Milliseconds",
    "model_ms": "Milliseconds",
    "explain_ms": "Milliseconds",
    "batch_ms": "Milliseconds",
    "photos": "Count",
    "diagnosed": "Count",
    "uncertain": "Count",
    "rejected": "Count",
}
_OF_PROCESSES = {
    "cold_start_ms": "Milliseconds",
    "model_load_ms": "Milliseconds",
    "model_load_failures": "Count",
    "channel_age_s": "Seconds",
}
"""Fields that are metrics where a line has them, and their units."""

_KINDS = ("status_class", "code", "limit")
"""Fields by which requests are counted. Few values each: every combination is a metric that is paid for."""


class EmbeddedMetrics(Sink):
    """Turns the log lines of requests, and those about the model, into metrics as well."""

    def __init__(self) -> None:
        self._function = os.environ.get("AWS_LAMBDA_FUNCTION_NAME", "")
        self._channel_read_at: float | None = None

    def finished(self, noted: Record) -> None:
        """See `Sink`."""
        if noted.name == "channel_read" and not noted.error:
            self._channel_read_at = time.time()

    def complete(self, line: Line) -> Line:
        """The line with what makes metrics of its fields, if it has any of them."""
        if "route" in line:
            line |= {"status_class": f"{(line['status'] or 0) // 100}xx", **_decisions(line)}
            if self._channel_read_at:
                line["channel_age_s"] = round(time.time() - self._channel_read_at, 1)
        directives = [*self._directives(line)]
        if not directives:
            return line
        metadata = {"Timestamp": time.time_ns() // 1_000_000, "CloudWatchMetrics": directives}
        return {"_aws": metadata, **line, "function": self._function}

    def _directives(self, line: Line) -> list[dict[str, Any]]:
        directives = []
        if "route" in line:
            by_route = ["function", "route"]
            kinds = [[*by_route, kind] for kind in _KINDS if isinstance(line.get(kind), str)]
            directives.append(_directive([by_route, *kinds], {"ms": "Milliseconds"}))
            directives.append(_directive([by_route], _present(_OF_REQUESTS, line)))
        directives.append(_directive([["function"]], _present(_OF_PROCESSES, line)))
        return [directive for directive in directives if directive["Metrics"]]


def _present(units: Mapping[str, str], line: Line) -> dict[str, str]:
    return {name: unit for name, unit in units.items() if name in line}


def _directive(dimensions: Sequence[Sequence[str]], units: Mapping[str, str]) -> dict[str, Any]:
    metrics = [{"Name": name, "Unit": unit} for name, unit in units.items()]
    return {"Namespace": NAMESPACE, "Dimensions": dimensions, "Metrics": metrics}


def _decisions(line: Line) -> dict[str, int]:
    return {line["decision"]: 1} if "decision" in line else line.get("decisions", {})
