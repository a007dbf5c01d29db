"""A service to measure: everything in one process, as `make run` starts it, with the model loaded."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx


class Served(NamedTuple):
    """A running service.

    Attributes:
        client: to ask it with, over one kept-alive connection.
        pid: of its process.
    """

    client: httpx.Client
    pid: int


@contextmanager
def served(**settings: str) -> Iterator[Served]:
    """Run the service with these environment variables until the block ends."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [Path(sys.executable).parent / "plant-disease", "serve", "--port", str(port)],
        env={**os.environ, "PLANT_MODEL_LOADING": "eager", **settings},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=120, trust_env=False) as client:
            while server.poll() is None:
                try:
                    client.get("/health/ready")
                    break
                except httpx.TransportError:
                    time.sleep(0.1)
            yield Served(client, server.pid)
    finally:
        server.terminate()
        server.wait()
