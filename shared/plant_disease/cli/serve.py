"""`plant-disease serve`."""

import ipaddress
import os
from typing import Annotated

import typer

from plant_disease.cli.output import errors_console

_GRACE_S = 25
"""Seconds that requests have to finish after SIGTERM; Kubernetes and Cloud Run wait 30 and 10."""


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.", min=0, max=65535)] = 8000,
) -> None:
    """Serve all functions in one process."""
    if _is_loopback(host):
        os.environ.setdefault("PLANT_AUTH", "off")
    os.environ.setdefault("PLANT_MODEL_LOADING", "background")

    import uvicorn

    from functions.predict.main import router as predict
    from plant_disease.service.app import create_app

    app = create_app(predict)
    shown = f"[{host}]" if ":" in host else host
    errors_console.print(
        f"Serving on http://{shown}:{port} - documentation at /docs, stop with Ctrl-C", highlight=False
    )
    uvicorn.run(
        app,
        host=host,
        port=port,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_GRACE_S,
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
