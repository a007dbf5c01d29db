"""Who asked what, how long it took and how it ended: request ids, Server-Timing and one log line a request."""

import json
import logging
import re
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

logger = logging.getLogger("plant_disease")

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
# Later versions may have more fields at the end. https://www.w3.org/TR/trace-context/#traceparent-header
_TRACEPARENT = re.compile(rb"(?!ff)[0-9a-f]{2}-((?!0{32})[0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?")

_CLIENT_CLOSED_REQUEST = 499
"""In the log only, as nginx does: nobody is left to get it."""


@dataclass
class Record:
    """What is noted about the request at hand.

    Attributes:
        request_id: the caller's, or a new one.
        trace_id: of the W3C trace that the caller is in, if any.
        timings_ms: how long each step took, in ms, in order.
        fields: further fields of the log line, such as the decision. Never a photo, a key or a file name.
    """

    request_id: str
    trace_id: str | None = None
    timings_ms: dict[str, float] = field(default_factory=dict)
    fields: dict[str, Any] = field(default_factory=dict)
    started: float = field(default_factory=time.perf_counter)

    @contextmanager
    def timed(self, step: str) -> Iterator[None]:
        """Note how long the body takes."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.timings_ms[step] = _ms_since(start)

    def total_ms(self) -> float:
        """Milliseconds since the request came in."""
        return _ms_since(self.started)


_record: ContextVar[Record] = ContextVar("record")


def record() -> Record:
    """The record of the request at hand."""
    return _record.get()


def request_id() -> str:
    """The id of the request at hand."""
    return _record.get().request_id


class Telemetry:
    """ASGI middleware around everything else. An exception that gets here is logged and answered as a 500 problem."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        noted = Record(_id_from(headers.get(b"x-request-id", b"")), _trace_from(headers.get(b"traceparent", b"")))
        _record.set(noted)
        status: int | None = None

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                added = MutableHeaders(scope=message)
                added["X-Request-Id"] = noted.request_id
                steps = {**noted.timings_ms, "total": noted.total_ms()}
                added["Server-Timing"] = ", ".join(f"{step};dur={ms:.1f}" for step, ms in steps.items())
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        except ClientDisconnect:
            status = _CLIENT_CLOSED_REQUEST
        except Exception:
            logger.exception("unhandled error", extra={"fields": {"request_id": noted.request_id}})
            if status is not None:
                # Half an answer is out; the server must break the connection off.
                raise
            from plant_disease.service.problems import Problem

            problem = Problem(500, "internal_error", "Something went wrong here. Quote the request id if it stays.")
            await problem.response()(scope, receive, send_with_headers)
        finally:
            _log_request(scope, noted, status)


def configure_logging(level: str) -> None:
    """Write this library's log lines as JSON, one a line, to standard output, in the fields Cloud Logging knows."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(_JsonFormatter())
    logger.handlers = [handler]
    logger.setLevel(level)
    # On Lambda the root logger has a handler of its own, which would write every line a second time.
    logger.propagate = False
    # Warns of every form that is malformed; whoever sent it is told, and nobody else need be.
    logging.getLogger("python_multipart").setLevel(logging.ERROR)


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "severity": record.levelname,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def _log_request(scope: Scope, noted: Record, status: int | None) -> None:
    fields: dict[str, Any] = {
        "method": scope["method"],
        "path": scope["path"],
        "status": status,
        "ms": round(noted.total_ms(), 1),
        "request_id": noted.request_id,
        **({"trace_id": noted.trace_id} if noted.trace_id else {}),
        **noted.fields,
    }
    level = logging.WARNING if status is None or status >= 500 else logging.INFO
    logger.log(level, "%s %s %s", scope["method"], scope["path"], status, extra={"fields": fields})


def _id_from(header: bytes) -> str:
    return header.decode() if _REQUEST_ID.fullmatch(header) else uuid.uuid4().hex


def _trace_from(header: bytes) -> str | None:
    match = _TRACEPARENT.fullmatch(header)
    return match[1].decode() if match else None


def _ms_since(start: float) -> float:
    return (time.perf_counter() - start) * 1000
