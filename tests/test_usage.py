"""Usage events: kept by many at once, read once, summed by month."""

import csv
import io
import json
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plant_disease.errors import UsageUnreadable
from plant_disease.storage import Store, open_store
from plant_disease.storage.local import LocalStore
from plant_disease.usage import Usage, UsageEvent, read_events, sum_usage, write_events
from tests.servers import REGION

COMMAND = str(Path(sys.executable).parent / "plant-disease")


def event(**changes: Any) -> UsageEvent:
    return UsageEvent(
        **{
            "time": datetime(2026, 11, 23, 8, 15, tzinfo=UTC),
            "key_id": "k1",
            "endpoint": "predict",
            "photos": 1,
            "diagnosed": 1,
            "uncertain": 0,
            "rejected": 0,
            "model_version": "1.0.0",
            "request_id": "r",
            "idempotency_key": None,
            "fingerprint": None,
            "ms": 12.5,
            "outcome": "complete",
            **changes,
        }
    )


@pytest.fixture(params=["local", "s3", "gs"])
def store(
    request: pytest.FixtureRequest, tmp_path: Path, aws_environment: pytest.MonkeyPatch, moto_url: str, gcs_url: str
) -> Store:
    if request.param == "local":
        return LocalStore(str(tmp_path / "usage"))
    name = f"usage-{request.param}"
    aws_environment.setenv("AWS_ENDPOINT_URL_S3", moto_url)
    aws_environment.setenv("STORAGE_EMULATOR_HOST", gcs_url)
    if request.param == "s3":
        location = {"LocationConstraint": REGION}
        boto3.client("s3", endpoint_url=moto_url).create_bucket(Bucket=name, CreateBucketConfiguration=location)  # type: ignore[arg-type]
    else:
        httpx.post(f"{gcs_url}/storage/v1/b", json={"name": name}, trust_env=False).raise_for_status()
    return open_store(f"{request.param}://{name}/events")


def test_many_write_at_once_and_nothing_is_lost(store: Store) -> None:
    written = [[event(photos=number, request_id=f"{writer}-{number}") for number in range(20)] for writer in range(8)]
    threads = [threading.Thread(target=write_events, args=(store, events)) for events in written]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    read = list(read_events(store, "2026-11"))
    assert sorted(each.event_id for each in read) == sorted(each.event_id for events in written for each in events)
    assert {each.event_id: each for each in read} == {each.event_id: each for events in written for each in events}


def test_days_and_months_are_kept_apart(tmp_path: Path) -> None:
    store = LocalStore(str(tmp_path))
    last, first = (datetime(2026, *day, tzinfo=UTC) for day in ((11, 30, 23, 59, 59), (12, 1)))
    write_events(store, [event(time=first), event(time=last), event(time=last)])
    assert len(list(read_events(store, "2026-11"))) == 2
    assert len(list(read_events(store, "2026-12"))) == 1
    assert sorted({entry.name.split("/")[0] for entry in store.list()}) == ["dt=2026-11-30", "dt=2026-12-01"]


def test_events_that_were_written_twice_count_once(tmp_path: Path) -> None:
    store = LocalStore(str(tmp_path))
    events = [event(), event(photos=3)]
    write_events(store, events)
    write_events(store, events)
    assert sum_usage(read_events(store, "2026-11")) == [Usage("k1", "predict", 2, 4)]


def test_a_retry_counts_once_and_another_request_does_not_hide_behind_it() -> None:
    retried = {"idempotency_key": "a", "fingerprint": "x", "endpoint": "batch", "photos": 64}
    events = [
        event(**retried),
        event(**retried),
        event(**{**retried, "fingerprint": "y"}),
        event(**{**retried, "key_id": "k2"}),
    ]
    assert sum_usage(events) == [Usage("k1", "batch", 2, 128), Usage("k2", "batch", 1, 64)]


@settings(derandomize=True, database=None)
@given(
    st.lists(
        st.builds(
            event,
            key_id=st.sampled_from(["k1", "k2", None]),
            endpoint=st.sampled_from(["predict", "batch", "explain"]),
            photos=st.integers(0, 64),
        )
    )
)
def test_sums_are_sums(events: list[UsageEvent]) -> None:
    lines = sum_usage(events)
    assert sum(line.photos for line in lines) == sum(each.photos for each in events)
    assert sum(line.requests for line in lines) == len(events)
    assert len({(line.key_id, line.endpoint) for line in lines}) == len(lines)


def test_a_line_is_flat_and_its_types_are_stable() -> None:
    """So that BigQuery and Athena read it without any parsing."""
    for each in (event(), event(key_id=None, idempotency_key="a", fingerprint="b", ms=12)):
        line = json.loads(each.model_dump_json())
        assert {name: type(value) for name, value in line.items() if value is not None} == {
            name: kind
            for name, kind in {
                "event_id": str,
                "time": str,
                "key_id": str,
                "endpoint": str,
                "photos": int,
                "diagnosed": int,
                "uncertain": int,
                "rejected": int,
                "model_version": str,
                "request_id": str,
                "idempotency_key": str,
                "fingerprint": str,
                "ms": float,
                "outcome": str,
            }.items()
            if line[name] is not None
        }
        assert line["time"] == "2026-11-23T08:15:00Z"


def test_what_is_no_event_is_named(tmp_path: Path) -> None:
    store = LocalStore(str(tmp_path))
    write_events(store, [event()])
    store.write("dt=2026-11-01/x.jsonl", b'{"photos": 1}\n')
    with pytest.raises(UsageUnreadable, match=r"Line 1 of .*dt=2026-11-01/x\.jsonl"):
        list(read_events(store, "2026-11"))


Report = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def report(tmp_path: Path) -> Report:
    write_events(LocalStore(str(tmp_path)), [event(), event(endpoint="batch", photos=1200), event(key_id=None)])

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [COMMAND, "usage", "report", "--usage-uri", str(tmp_path), *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    return run


def test_a_report(report: Report) -> None:
    table = report("--month", "2026-11")
    assert table.returncode == 0, table.stderr
    assert "1,200" in table.stdout
    assert "without a key" in table.stdout
    rows = list(csv.DictReader(io.StringIO(report("--month", "2026-11", "--csv").stdout)))
    assert rows == [
        {"month": "2026-11", "key_id": "", "endpoint": "predict", "requests": "1", "photos": "1"},
        {"month": "2026-11", "key_id": "k1", "endpoint": "batch", "requests": "1", "photos": "1200"},
        {"month": "2026-11", "key_id": "k1", "endpoint": "predict", "requests": "1", "photos": "1"},
    ]
    lines = json.loads(report("--month", "2026-11", "--json").stdout)
    assert [line["photos"] for line in lines] == [1, 1200, 1]
    assert json.loads(report("--month", "2026-10", "--json").stdout) == []
    assert report("--month", "11-2026").returncode == 2
    assert report("--month", "2026-13").returncode == 2
