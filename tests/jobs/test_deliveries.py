"""What Lambda's handler of the function batch makes of what it is given."""

from pathlib import Path
from typing import Any

import pytest

from plant_disease.jobs.documents import Message
from plant_disease.service.deliveries import Deliveries
from plant_disease.service.jobs import Jobs
from plant_disease.settings import Settings

KNOWN_TO_NOBODY = Message(job="0" * 32, chunk=0).model_dump_json()


class Context:
    def __init__(self, left_s: float) -> None:
        self._left_s = left_s

    def get_remaining_time_in_millis(self) -> float:
        return self._left_s * 1000


def event(*bodies: str) -> dict[str, Any]:
    common = {"eventSource": "aws:sqs", "attributes": {"ApproximateReceiveCount": "1"}}
    return {"Records": [{"messageId": str(number), "body": body, **common} for number, body in enumerate(bodies)]}


@pytest.fixture
def jobs(tmp_path: Path) -> Jobs:
    settings = Settings(jobs_uri=str(tmp_path / "jobs"), uploads_uri=str(tmp_path / "uploads"))
    return Jobs(settings, None, None, None)  # type: ignore[arg-type]  # there is nothing to diagnose


@pytest.fixture
def handler(jobs: Jobs) -> Deliveries:
    return Deliveries(jobs, lambda event, _: {"statusCode": 200, "body": event["body"]})


def failed(answer: Any) -> list[str]:
    return [each["itemIdentifier"] for each in answer["batchItemFailures"]]


def test_requests_go_on(handler: Deliveries) -> None:
    assert handler({"body": "a", "version": "2.0"}, Context(30)) == {"statusCode": 200, "body": "a"}


def test_what_nobody_can_do_does_not_come_again(handler: Deliveries) -> None:
    assert failed(handler(event("{", KNOWN_TO_NOBODY, '{"job": 1}'), Context(60))) == []


def test_what_there_is_no_time_for_comes_again(handler: Deliveries) -> None:
    assert failed(handler(event(KNOWN_TO_NOBODY, KNOWN_TO_NOBODY, KNOWN_TO_NOBODY), Context(20))) == ["1", "2"]


def test_what_failed_comes_again_alone(handler: Deliveries, tmp_path: Path) -> None:
    job = tmp_path / "jobs" / ("1" * 32)
    job.mkdir(parents=True)
    (job / "job.json").write_text("{")
    broken = Message(job=job.name, chunk=0).model_dump_json()
    assert failed(handler(event(KNOWN_TO_NOBODY, broken, KNOWN_TO_NOBODY), Context(120))) == ["1"]
