"""Uvicorn as every process here runs it: it ends on SIGTERM without losing a request, and with exit code 0."""

import asyncio
import contextlib
import gc
import signal
import socket
import sys
import time

import uvicorn
from starlette.types import ASGIApp

_GRACE_S = 25
"""Seconds that requests have to finish after SIGTERM; Kubernetes and Cloud Run kill after 30 and 10."""

_LINGER_S = 1.0
"""Seconds after SIGTERM in which a request may still come on a connection that is open."""


class _Server(uvicorn.Server):
    """Uvicorn closes connections whose request is on its way at that moment; the client sees an error. This waits."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen. From here on garbage is collected, also if nobody collected any until now."""
        await super().startup(sockets)
        gc.freeze()
        gc.enable()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer what has been asked, then end."""
        # From now on every answer sends its client elsewhere.
        self.server_state.default_headers.append((b"connection", b"close"))
        until = time.monotonic() + _LINGER_S
        for connection in self._stop_listening():
            await asyncio.get_running_loop().connect_accepted_socket(self._protocol, connection)
        # Those that were accepted last are known a moment later.
        await asyncio.sleep(0.02)
        while self.server_state.connections and time.monotonic() < until:
            await asyncio.sleep(0.02)
        await super().shutdown(sockets)

    def _stop_listening(self) -> list[socket.socket]:
        """Stop; who has connected by then, but was not accepted yet. The kernel would reset them."""
        accepted = []
        for server in self.servers:
            for listener in [each.dup() for each in server.sockets]:
                server.close()
                with listener:
                    accepted += _emptied(listener)
        return accepted

    def _protocol(self) -> asyncio.Protocol:
        return self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )


def _emptied(listener: socket.socket) -> list[socket.socket]:
    """Who has connected and was not accepted. After them nobody can connect, or they would be reset when it is closed.

    Linux lets one more wait to be accepted than `listen` says; who comes then hears nothing, tries again after a
    second, and is refused. That one place is taken by a connection of our own.
    """
    listener.listen(0)
    accepted = []
    for _ in range(20):
        with contextlib.suppress(BlockingIOError):
            while True:
                accepted.append(listener.accept()[0])
        with socket.socket(listener.family) as ours, contextlib.suppress(OSError):
            ours.settimeout(0.02)
            ours.connect(listener.getsockname())
            break
        # Somebody else was there first.
    return accepted


def prepared(app: ASGIApp | str, *, host: str, port: int) -> uvicorn.Server:
    """A server that `run` starts. From here on SIGTERM ends the process in order.

    Args:
        app: the application, or its import string.
        host: where to listen, unless `run` is given a socket that does.
        port: likewise.
    """
    # uvicorn finishes what runs and then raises the signal anew for whoever handled it before. The first process of a
    # container has no default that would end it; elsewhere, too, a stop that went well is no failure.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    return _Server(
        uvicorn.Config(
            app,
            host=host,
            port=port,
            # It bounds heads and what is sent ahead of the answers. httptools, which would be chosen where it is
            # installed, bounds neither.
            http="h11",
            log_level="warning",
            access_log=False,
            server_header=False,
            # uvicorn would believe whatever is forwarded from this machine; PLANT_TRUSTED_PROXIES decides.
            proxy_headers=False,
            timeout_graceful_shutdown=_GRACE_S,
        )
    )
