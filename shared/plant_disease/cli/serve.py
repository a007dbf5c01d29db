"""`plant-disease serve`."""

import ipaddress
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from plant_disease.cli.output import errors_console
from plant_disease.errors import ConfigurationError
from plant_disease.settings import Settings, read_settings


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.", min=0, max=65535)] = 8000,
) -> None:
    """Serve all functions and the page in one process."""
    from functions.batch.routes import router as batch
    from functions.explain.routes import router as explain
    from functions.predict.routes import router as predict
    from plant_disease.service import job_routes
    from plant_disease.service.app import create_app
    from plant_disease.service.page import page_routes
    from plant_disease.service.server import prepared

    listener = _listen(host, port)
    with _settings(host) as settings:
        routers = (predict, batch, job_routes.router, explain, page_routes(settings.page_config))
        app = create_app(*routers, settings=settings)
        job_routes.add_jobs(app)
        server = prepared(app, host=host, port=port)
        shown = f"[{host}]" if ":" in host else host
        bound = listener.getsockname()[1]
        errors_console.print(
            f"Serving on http://{shown}:{bound} - the page at /, documentation at /docs, stop with Ctrl-C",
            highlight=False,
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


@contextmanager
def _settings(host: str) -> Iterator[Settings]:
    """The environment's settings; what it leaves open is chosen for a person at their own machine."""
    settings = read_settings()
    with ExitStack() as stack:
        defaults: dict[str, str] = {"model_loading": "background"}
        if _is_loopback(host):
            defaults["auth"] = "off"
            for place in ("uploads_uri", "jobs_uri"):
                if getattr(settings, place) is None:
                    folder = TemporaryDirectory(prefix=f"plant-disease-{place.removesuffix('_uri')}-")
                    defaults[place] = stack.enter_context(folder)
        yield settings.model_copy(update={k: v for k, v in defaults.items() if k not in settings.model_fields_set})


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
