"""Fixtures for all tests."""

import os
from pathlib import Path

import pytest

from tests.servers import aws_environment, gcs_url, moto_url, redis_url

__all__ = ["aws_environment", "gcs_url", "moto_url", "redis_url"]

# Everything here talks to loopback; a proxy of the machine must not get in between, in child processes neither.
os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1,localhost"


@pytest.fixture(scope="session", autouse=True)
def _own_environment(tmp_path_factory: pytest.TempPathFactory) -> None:
    """No setting of the person who runs the tests, and a cache of our own."""
    for name in [name for name in os.environ if name.startswith("PLANT_")]:
        del os.environ[name]
    cache: Path = tmp_path_factory.mktemp("models")
    os.environ["PLANT_MODEL_CACHE"] = str(cache)
