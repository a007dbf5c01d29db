"""What becomes of a connection whose request is answered before its body has come."""

import asyncio
from contextlib import suppress

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_LINGER_S = 1.0
"""Seconds for which what still comes is read after the answer."""


class CloseUnread:
    """ASGI middleware: an answer given before the end of the body ends the connection.

    The server would otherwise go on reading, and throwing away, for as long as the client cares to send. To close at
    once would be as wrong: bytes that reach a closed socket are answered by a reset, and a reset overtakes the answer.
    So the whole answer goes out first, then the rest is thrown away for a moment, then the connection is closed.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        headers = Headers(scope=scope) if scope["type"] == "http" else Headers()
        if not (headers.get("content-length", "0") != "0" or "transfer-encoding" in headers):
            await self._app(scope, receive, send)
            return
        # To ask such a client for its body would be to tell it to send one.
        waits_to_be_asked = headers.get("expect", "").lower() == "100-continue"
        ended = False

        async def noting_receive() -> Message:
            nonlocal ended, waits_to_be_asked
            waits_to_be_asked = False
            message = await receive()
            ended = not message.get("more_body", False)
            return message

        async def discard(seconds: float) -> None:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    while not ended:
                        await noting_receive()

        async def closing_send(message: Message) -> None:
            if message["type"] == "http.response.start" and not ended:
                if not waits_to_be_asked:
                    # A small body is there already, and then nothing need be closed.
                    await discard(0)
                if not ended:
                    MutableHeaders(scope=message)["Connection"] = "close"
            elif not message.get("more_body", False) and not (ended or waits_to_be_asked):
                await send({**message, "more_body": True})
                message = {"type": "http.response.body", "body": b"", "more_body": False}
                await discard(_LINGER_S)
            await send(message)

        await self._app(scope, noting_receive, closing_send)
