"""`plant-disease serve`."""

import ipaddress
import signal
import socket
import sys
from typing import Annotated

import typer

from plant_disease.cli.output import errors_console
from plant_disease.errors import ConfigurationError
from plant_disease.settings import Settings, read_settings

_GRACE_S = 25
"""Seconds that requests have to finish after SIGTERM; Kubernetes and Cloud Run wait 30 and 10."""


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.", min=0, max=65535)] = 8000,
) -> None:
    """Serve all functions and the page in one process."""
    import uvicorn

    from functions.batch.routes import router as batch
    from functions.explain.routes import router as explain
    from functions.predict.routes import router as predict
    from plant_disease.service.app import create_app
    from plant_disease.service.page import page_routes

    settings = _settings(host)
    page = page_routes(settings.page_config)
    listener = _listen(host, port)
    server = uvicorn.Server(
        uvicorn.Config(
            create_app(predict, batch, explain, page, settings=settings),
            host=host,
            port=port,
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=_GRACE_S,
        )
    )
    # uvicorn finishes what runs and then raises the signal anew for whoever handled it before; a stop that went
    # well is no failure.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    shown = f"[{host}]" if ":" in host else host
    bound = listener.getsockname()[1]
    errors_console.print(
        f"Serving on http://{shown}:{bound} - the page at /, documentation at /docs, stop with Ctrl-C", highlight=False
    )
    server.run(sockets=[listener])


def _listen(host: str, port: int) -> socket.socket:
    try:
        listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
        # asyncio sets it only on sockets that it made itself. Without it, the body of a short answer waits for the
        # acknowledgement of its head, which clients put off for 40 ms.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listener
    except OSError as error:
        raise ConfigurationError(
            f"Cannot listen on {host}, port {port}: {error.strerror}. Choose another with --host and --port."
        ) from error


def _settings(host: str) -> Settings:
    """The environment's settings; what it leaves open is chosen for a person at their own machine."""
    settings = read_settings()
    defaults: dict[str, str] = {"model_loading": "background"}
    if _is_loopback(host):
        defaults["auth"] = "off"
    return settings.model_copy(update={k: v for k, v in defaults.items() if k not in settings.model_fields_set})


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
