"""Routes that FastAPI documents, and leaves alone otherwise."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute


class PlainRoute(APIRoute):
    """A route whose function takes the request and gives the response by itself.

    For such a function, too, FastAPI would look for what it depends on with every request.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """See `APIRoute`."""
        handler: Callable[[Request], Coroutine[Any, Any, Response]] = self.endpoint
        return handler
