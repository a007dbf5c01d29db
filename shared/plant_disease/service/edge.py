"""What holds for every request and every answer, before anyone is asked who they are."""

import re
from typing import Any

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from plant_disease.service.inputs import body_too_large
from plant_disease.settings import Settings

_NUMBER = re.compile(r"[0-9]{1,18}")

_A_YEAR_S = 365 * 24 * 3600
_HEADERS = [
    # Diagnoses are for the caller alone.
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    # Pages of other origins read answers through CORS or not at all.
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
]
_HEADERS_OF_HTTPS = [*_HEADERS, (b"strict-transport-security", b"max-age=%d" % _A_YEAR_S)]


def cors(settings: Settings) -> dict[str, Any]:
    """The arguments of Starlette's CORSMiddleware. There are no cookies here, so it never allows credentials."""
    return {
        "allow_origins": settings.cors_origins,
        "allow_methods": ("DELETE", "GET", "POST", "PUT"),
        "allow_headers": (
            "Authorization",
            "Content-Type",
            "Idempotency-Key",
            "traceparent",
            "X-API-Key",
            "X-Request-Id",
        ),
        "expose_headers": (
            "Idempotency-Replayed",
            "Location",
            "RateLimit",
            "RateLimit-Policy",
            "Retry-After",
            "Server-Timing",
            "X-Request-Id",
        ),
    }


class SecurityHeaders:
    """ASGI middleware: every answer tells browsers to do no more with it than they must."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                has = {name for name, _ in message["headers"]}
                ours = _HEADERS_OF_HTTPS if scope["scheme"] == "https" else _HEADERS
                message["headers"] = [*message["headers"], *(each for each in ours if each[0] not in has)]
            await send(message)

        await self._app(scope, receive, send_with_headers)


class RefuseTooLarge:
    """ASGI middleware: a body that is announced as too large is refused before its sender is even asked for a key."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http":
            announced = Headers(scope=scope).get("content-length", "")
            # Lambda's events come without anyone having looked at the headers.
            if _NUMBER.fullmatch(announced) and int(announced) > self._settings.max_body_bytes:
                await body_too_large(self._settings).response()(scope, receive, send)
                return
        await self._app(scope, receive, send)
