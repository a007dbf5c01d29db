"""Containers as in production: read-only, without privileges, one CPU, little memory."""

import json
import subprocess
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import httpx

from tests.functions.processes import free_port, wait_for

MEMORY = {"predict": "512m", "batch": "512m", "explain": "2g"}
STARTS_WITHIN_S = 120


def docker(*arguments: str, check: bool = True) -> str:
    """What a docker command says."""
    done = subprocess.run(["docker", *arguments], check=False, capture_output=True, text=True)
    assert done.returncode == 0 or not check, done.stderr
    return done.stdout.strip()


class Container:
    """A container that was started.

    Attributes:
        url: where it listens.
    """

    def __init__(self, name: str, port: int) -> None:
        self.name = name
        self.port = port
        self.url = f"http://127.0.0.1:{port}"

    def state(self) -> dict[str, Any]:
        """What Docker knows of it."""
        state: dict[str, Any] = json.loads(docker("inspect", "--format", "{{json .State}}", self.name))
        return state

    def restarts(self) -> int:
        """How often Docker has started it again."""
        return int(docker("inspect", "--format", "{{.RestartCount}}", self.name))

    def logs(self) -> str:
        """What it has written."""
        done = subprocess.run(["docker", "logs", self.name], check=False, capture_output=True, text=True)
        return done.stdout + done.stderr

    def is_ready(self) -> bool:
        """Whether it could serve a request at once."""
        try:
            return httpx.get(f"{self.url}/health/ready", trust_env=False).is_success
        except httpx.TransportError:
            return False


@contextmanager
def container(
    function: str,
    *,
    options: Sequence[str] = (),
    command: Sequence[str] = (),
    wait: bool = True,
    **environment: str,
) -> Iterator[Container]:
    """Run an image until the block ends.

    Args:
        function: whose image.
        options: further ones of `docker run`.
        command: after the name of the image.
        wait: until it is ready.
        environment: of the container.
    """
    port = free_port()
    started = Container(f"plant-disease-test-{uuid.uuid4().hex[:8]}", port)
    settings = {"PLANT_AUTH": "off", "HOST": "127.0.0.1", "PORT": str(port), **environment}
    docker(
        *("run", "--detach", "--name", started.name, "--network", "host"),
        *("--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
        *("--cpus", "1", "--memory", MEMORY[function], "--memory-swap", MEMORY[function]),
        *(part for name, value in settings.items() for part in ("--env", f"{name}={value}")),
        *options,
        f"plant-disease/{function}",
        *command,
    )
    try:
        if wait:
            wait_for(lambda: started.is_ready() or not started.state()["Running"], STARTS_WITHIN_S)
            assert started.is_ready(), started.logs()
        yield started
    finally:
        print(started.logs())
        docker("rm", "--force", started.name)
