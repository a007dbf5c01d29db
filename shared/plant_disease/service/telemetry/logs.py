"""Log lines as JSON, one a line, with the fields that Cloud Logging and CloudWatch know."""

import json
import logging
import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from plant_disease.service.telemetry.context import as_xray
from plant_disease.service.telemetry.process import is_lambda
from plant_disease.service.telemetry.records import Record, Sink, current

logger = logging.getLogger("plant_disease")

Line = dict[str, Any]

SCRAPED = "/metrics"
"""Asked for every few seconds, by a machine."""


def configure_logging(level: str, *, completed: Callable[[Line], Line] = lambda line: line) -> None:
    """Write this library's log lines to standard output.

    Args:
        level: the least severe line written.
        completed: what is done to each line last.
    """
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter(completed))
    logger.handlers = [handler]
    logger.setLevel(level)
    # On Lambda the root logger has a handler of its own, which would write every line a second time.
    logger.propagate = False
    # Warns of every form that is malformed; whoever sent it is told, and nobody else need be.
    logging.getLogger("python_multipart").setLevel(logging.ERROR)


class JsonFormatter(logging.Formatter):
    """A line has time, severity and message, the fields it was given, and which request and trace it belongs to."""

    def __init__(self, completed: Callable[[Line], Line] = lambda line: line) -> None:
        super().__init__()
        self._completed = completed
        self._is_lambda = is_lambda()
        self._project = os.environ.get("GOOGLE_CLOUD_PROJECT")

    def format(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter.format`."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "severity": record.levelname,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if noted := current():
            line |= self._origin(noted)
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(self._completed(line), default=str)

    def _origin(self, noted: Record) -> Line:
        """By these fields a console finds the lines of a request, and leads from a line to its trace."""
        origin: Line = {"request_id": noted.request_id} if noted.request_id else {}
        if trace := noted.trace:
            origin["trace_id"] = trace.trace_id
            if self._is_lambda:
                origin["xray_trace_id"] = as_xray(trace.trace_id)
            elif self._project:
                # https://cloud.google.com/logging/docs/structured-logging#structured_logging_special_fields
                origin["logging.googleapis.com/trace"] = f"projects/{self._project}/traces/{trace.trace_id}"
                if trace.span_id:
                    origin["logging.googleapis.com/spanId"] = trace.span_id
                origin["logging.googleapis.com/trace_sampled"] = trace.sampled
        return origin


class RequestLog(Sink):
    """Writes one line a request."""

    def __init__(self) -> None:
        self._is_lambda = is_lambda()

    def finished(self, noted: Record) -> None:
        """See `Sink`."""
        if not (http := noted.http):
            return
        ms = noted.total_ms()
        line: Line = {
            "method": http.method,
            "path": http.path,
            "route": http.route,
            "status": http.status,
            "ms": round(ms, 1),
            **{f"{step}_ms": round(took, 1) for step, took in noted.timings_ms.items()},
            **noted.fields,
            **_in_words(noted),
        }
        if not self._is_lambda:
            # https://cloud.google.com/logging/docs/reference/v2/rest/v2/LogEntry#HttpRequest
            line["httpRequest"] = {
                "requestMethod": http.method,
                "requestUrl": http.path,
                "latency": f"{ms / 1000:.6f}s",
                **({"status": http.status} if http.status else {}),
            }
        if http.status is None or http.status >= 500:
            level = logging.WARNING
        else:
            level = logging.DEBUG if http.route == SCRAPED else logging.INFO
        logger.log(level, "%s %s %s", http.method, http.path, http.status, extra={"fields": line})


def _in_words(noted: Record) -> Line:
    """What was decided and what went wrong: a word where there is one, numbers where there are several."""
    line: Line = {}
    if noted.decisions.total() == 1:
        (line["decision"],) = noted.decisions
    elif noted.decisions:
        line["decisions"] = dict(noted.decisions)
    if noted.problems and "code" not in noted.fields:
        line["problems"] = dict(noted.problems)
    return line
