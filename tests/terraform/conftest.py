"""An AWS for the real provider to ask."""

from collections.abc import Iterator

import pytest

from tests.terraform import moto_server


@pytest.fixture(scope="session")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A moto server, as the environment of whatever is to talk to it."""
    with moto_server.running(tmp_path_factory.mktemp("moto") / "log") as url:
        yield {
            "AWS_ENDPOINT_URL": url,
            "AWS_ACCESS_KEY_ID": "none",
            "AWS_SECRET_ACCESS_KEY": "none",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
