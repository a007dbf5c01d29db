"""The bucket of uploaded photos has trouble; whoever sends a photo along must not notice."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
import httpx
import pytest

from tests.functions import processes
from tests.functions.conftest import AWS
from tests.functions.photos import CLASS_ID, leaf
from tests.functions.processes import Process
from tests.servers import REGION, FaultyProxy

BUCKET = "troubled-uploads"


@pytest.fixture
def proxy(moto_url: str) -> Iterator[FaultyProxy]:
    with FaultyProxy(moto_url) as proxy:
        yield proxy


@pytest.fixture
def service(folder: Path, proxy: FaultyProxy) -> Iterator[Process]:
    settings = {"PLANT_UPLOADS_URI": f"s3://{BUCKET}", "AWS_ENDPOINT_URL_S3": proxy.url, "PLANT_MODEL_LOADING": "eager"}
    with processes.uvicorn(folder, **settings, **AWS) as process:
        yield process


def ask(service: Process, name: str = "leaf.jpg") -> httpx.Response:
    url = f"{service.url}/predict"
    return httpx.post(url, json={"image_uri": f"s3://{BUCKET}/{name}"}, trust_env=False, timeout=60)


def assert_unavailable(answer: httpx.Response) -> None:
    assert (answer.status_code, answer.json()["code"]) == (503, "uploads_unavailable"), answer.text
    assert int(answer.headers["retry-after"]) >= 1


def test_trouble_and_recovery(
    service: Process, proxy: FaultyProxy, moto_url: str, aws_environment: pytest.MonkeyPatch
) -> None:
    client = boto3.client("s3", endpoint_url=moto_url)
    location = {"LocationConstraint": REGION}
    client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration=location)  # type: ignore[arg-type]
    client.put_object(Bucket=BUCKET, Key="leaf.jpg", Body=leaf())
    proxy.set("refuse")
    assert_unavailable(ask(service))
    assert "s3://" in service.log(), "whoever runs this is told which bucket"

    proxy.set("hang")
    start = time.monotonic()
    with ThreadPoolExecutor(20) as pool:
        hanging = [pool.submit(ask, service) for _ in range(20)]
        time.sleep(1)
        for _ in range(5):
            jpeg = {"content-type": "image/jpeg"}
            answer = httpx.post(f"{service.url}/predict", content=leaf(), headers=jpeg, trust_env=False, timeout=5)
            assert answer.status_code == 200
        for each in hanging:
            assert_unavailable(each.result())
    assert time.monotonic() - start < 25

    proxy.set("pass")
    for _ in range(2):
        answer = ask(service)
        assert answer.status_code == 200, answer.text
        assert answer.json()["predictions"][0]["class_id"] == CLASS_ID
    assert ask(service, "gone.jpg").status_code == 404
