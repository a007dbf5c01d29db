"""Jobs through the queues of two clouds, whose workers are killed at random, and whose messages come twice and late."""

import csv
import hashlib
import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from plant_disease import keys
from plant_disease.plans import Plan
from tests.functions.photos import leaf
from tests.functions.processes import ROOT
from tests.jobs.clouds import Account, Aws, Cloud, Gcp, check, pubsub_emulator

PHOTOS = 240
QUOTA = 1000


def photos(number: int) -> list[tuple[str, bytes]]:
    """So many photos; one in twelve is damaged."""
    whole = [path.read_bytes() for path in sorted((ROOT / "tests/photos").glob("apple*.jpg"))]
    whole += [(ROOT / "tests/photos/robot.png").read_bytes()]
    kinds = [*(whole * 3)[:11], leaf()[:5000]]
    return [(f"{number:05}-{number % 12}.jpg", kinds[number % 12]) for number in range(number)]


def kind_of(name: str) -> str:
    return name.rpartition("-")[2]


def run(cloud: Cloud, account: Account) -> None:
    key = account.key()
    subject = f"key:{keys.id_of(key)}"
    uris = cloud.upload(hashlib.sha256(subject.encode()).hexdigest()[:32], photos(PHOTOS))
    cloud.start_workers(2)
    order = {"image_uris": uris}
    answer = cloud.ask("POST", "/batch/jobs", key, json=order, headers={"Idempotency-Key": "tonight"})
    assert answer.status_code == 202, answer.text
    job = answer.json()
    cloud.disturb(job["id"], PHOTOS // 8)
    job = cloud.run(job, key, kills=3, within_s=240)
    assert job["status"] == "done"
    assert cloud.killed >= 2
    results = cloud.results(job, key)
    if isinstance(cloud, Aws):
        # What the address says; the other emulator does not do it.
        assert results.headers["content-type"] == "application/x-ndjson"
    lines = [json.loads(line) for line in results.text.splitlines()]
    check(uris, kind_of, lines, job, cloud.events())
    assert job["counts"]["failed"] == PHOTOS // 12
    table = list(csv.DictReader(io.StringIO(cloud.results(job, key, format="csv").text.removeprefix("\ufeff"))))
    assert [row["class_id"] for row in table] == [
        line["predictions"][0]["class_id"] if line["status"] == "ok" else "" for line in lines
    ]
    # What failed is given back, once.
    (quota,) = cloud.ask("GET", "/usage", key).json()["limits"]
    assert quota["used"] == PHOTOS - PHOTOS // 12
    # The order that comes again is the same job, and nothing is done again.
    again = cloud.ask("POST", "/batch/jobs", key, json=order, headers={"Idempotency-Key": "tonight"})
    assert again.status_code == 202
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.json() == job


@pytest.fixture
def account(tmp_path: Path) -> Account:
    return Account(tmp_path, Plan(quota=f"{QUOTA}/month"))


@pytest.fixture
def settings(account: Account, redis_url: str) -> dict[str, str]:
    return {"PLANT_JOBS_CHUNK": "8", "PLANT_LIMITS_URI": redis_url, **account.settings}


def test_sqs(tmp_path: Path, account: Account, settings: dict[str, str], moto_url: str) -> None:
    with Aws(tmp_path, settings, moto_url, "jobs-of-leaves") as cloud:
        run(cloud, account)


@pytest.fixture
def pubsub(tmp_path: Path) -> Iterator[str]:
    with pubsub_emulator(tmp_path) as at:
        yield at


@pytest.mark.pubsub
def test_pubsub(tmp_path: Path, account: Account, settings: dict[str, str], gcs_url: str, pubsub: str) -> None:
    with Gcp(tmp_path, settings, gcs_url, pubsub, "jobs-of-leaves") as cloud:
        run(cloud, account)
