"""How much of all bodies together lies in memory."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from plant_disease.service.problems import Problem


class BoundedBodies:
    """ASGI middleware: what has been received of all requests at hand stays below a limit.

    Requests are turned away before their bodies are read while too many wait for a CPU; but a body that is on its
    way has no place there yet, and many at once would fill the memory. Whoever goes beyond the limit gets 503.

    Args:
        app: what it surrounds.
        most: in bytes.
    """

    def __init__(self, app: ASGIApp, most: int) -> None:
        self._app = app
        self._most = most
        self._held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        received = 0

        async def counting_receive() -> Message:
            nonlocal received
            message = await receive()
            size = len(message.get("body", b""))
            if self._held + size > self._most:
                raise Problem(503, "overloaded", "Too much is being sent at this moment. Try again.", retry_after=1)
            self._held += size
            received += size
            return message

        try:
            await self._app(scope, counting_receive, send)
        finally:
            self._held -= received
