"""The edge of all requests: ids, Server-Timing, and an answer whatever happens inside."""

import re
import uuid

from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from plant_disease.service.telemetry.context import find_trace
from plant_disease.service.telemetry.logs import logger
from plant_disease.service.telemetry.records import OTHER, Http, Record, close, recorded

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")

_CLIENT_CLOSED_REQUEST = 499
"""In the log only, as nginx does: nobody is left to get it."""


class Telemetry:
    """ASGI middleware around everything else. An exception that gets here is logged and answered as a 500 problem."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or begin and end with the server."""
        if scope["type"] == "http":
            # A framework around this one may have left its own there.
            scope.pop("route", None)
            headers = dict(scope["headers"])
            http = Http(scope["method"], scope["path"])
            noted = Record(request_id=_id_from(headers.get(b"x-request-id", b"")), http=http, trace=find_trace(headers))
            with recorded(noted):
                await self._serve(noted, http, scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._app(scope, receive, _closing(send))
        else:
            await self._app(scope, receive, send)

    async def _serve(self, noted: Record, http: Http, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                http.status = message["status"]
                added = MutableHeaders(scope=message)
                added["X-Request-Id"] = noted.request_id
                steps = {**noted.timings_ms, "total": noted.total_ms()}
                added["Server-Timing"] = ", ".join(f"{step};dur={ms:.1f}" for step, ms in steps.items())
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        except ClientDisconnect:
            http.status = _CLIENT_CLOSED_REQUEST
        except Exception:
            logger.exception("unhandled error")
            if http.status is not None:
                # Half an answer is out; the server must break the connection off.
                raise
            from plant_disease.service.problems import Problem

            problem = Problem(500, "internal_error", "Something went wrong here. Quote the request id if it stays.")
            await problem.response()(scope, receive, send_with_headers)
        finally:
            # The router leaves here which of its routes it was.
            http.route = getattr(scope.get("route"), "path_format", OTHER)


def _closing(send: Send) -> Send:
    """A server may be killed as soon as it has heard that all is shut down."""

    async def close_and_send(message: Message) -> None:
        if message["type"].startswith("lifespan.shutdown."):
            close()
        await send(message)

    return close_and_send


def _id_from(header: bytes) -> str:
    return header.decode() if _REQUEST_ID.fullmatch(header) else uuid.uuid4().hex
