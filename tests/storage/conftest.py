"""Places to keep objects in: a folder, a bucket of S3, a bucket of Cloud Storage."""

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
import requests

from plant_disease.storage import Limits, Store, open_store
from tests.servers import REGION, FaultyProxy

Kind = Literal["local", "s3", "gcs"]

QUICK = Limits(connect_s=0.5, read_s=0.5, attempt_s=3.0, attempts=3, backoff_s=0.01)


@dataclass(frozen=True)
class Place:
    """Somewhere for a store.

    Attributes:
        uri: what to open; nothing is in it.
        missing: a URI whose bucket or folder does not exist.
        proxy: in front of the server; None for a folder.
    """

    kind: Kind
    uri: str
    missing: str
    proxy: FaultyProxy | None = None

    def open(self, limits: Limits = QUICK) -> Store:
        return open_store(self.uri, limits=limits)


@pytest.fixture
def make_place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[Kind], Place]]:
    """Makes places, of remote kinds behind a proxy each."""
    proxies: list[FaultyProxy] = []

    def make(kind: Kind) -> Place:
        if kind == "local":
            folder = tmp_path / "store"
            folder.mkdir()
            return Place(kind, str(folder), str(tmp_path / "missing"))
        bucket = f"photos-{secrets.token_hex(6)}"
        upstream: str = request.getfixturevalue("moto_url" if kind == "s3" else "gcs_url")
        proxy = FaultyProxy(upstream)
        proxies.append(proxy)
        if kind == "s3":
            environment: pytest.MonkeyPatch = request.getfixturevalue("aws_environment")
            region = f"<LocationConstraint>{REGION}</LocationConstraint>"
            location = f"<CreateBucketConfiguration>{region}</CreateBucketConfiguration>"
            requests.put(f"{upstream}/{bucket}", data=location, timeout=5).raise_for_status()
            environment.setenv("AWS_ENDPOINT_URL_S3", proxy.url)
            return Place(kind, f"s3://{bucket}/some/prefix", f"s3://{bucket}-missing", proxy)
        environment = request.getfixturevalue("monkeypatch")
        requests.post(f"{upstream}/storage/v1/b", json={"name": bucket}, timeout=5).raise_for_status()
        environment.setenv("STORAGE_EMULATOR_HOST", proxy.url)
        return Place(kind, f"gs://{bucket}/some/prefix", f"gs://{bucket}-missing", proxy)

    yield make
    for proxy in proxies:
        proxy.close()


@pytest.fixture(params=["local", "s3", "gcs"])
def place(request: pytest.FixtureRequest, make_place: Callable[[Kind], Place]) -> Place:
    """Each kind."""
    return make_place(request.param)


@pytest.fixture(params=["s3", "gcs"])
def remote(request: pytest.FixtureRequest, make_place: Callable[[Kind], Place]) -> Place:
    """Each kind that is reached over the network."""
    return make_place(request.param)
