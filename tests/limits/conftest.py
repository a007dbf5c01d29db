"""Places to count in: this process, a Redis, a table of DynamoDB."""

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import boto3
import pytest
import redis

from plant_disease.service import telemetry
from plant_disease.service.limits import Limiter
from plant_disease.service.limits.dynamodb import DynamoDBWindows
from plant_disease.service.limits.memory import MemoryWindows
from plant_disease.service.limits.redis import RedisWindows
from plant_disease.service.limits.windows import JointWindows
from plant_disease.settings import Settings

START = 1_795_449_600.0
"""2026-11-23T16:00:00Z."""

PATIENT_S = 10.0
"""For questions to a server on a busy machine."""


@dataclass
class Clock:
    """Unix time that stands still unless told otherwise."""

    now: float = START

    def __call__(self) -> float:
        return self.now


@dataclass
class Place:
    """Somewhere to count, where time can be moved.

    Attributes:
        uri: PLANT_LIMITS_URI.
        windows: opened there.
        clock: the time for whoever counts there.
    """

    uri: str
    windows: JointWindows
    clock: Clock = field(default_factory=Clock)

    def pass_time(self, seconds: float) -> None:
        """Let every window age."""
        self.clock.now += seconds
        if isinstance(self.windows, RedisWindows):
            # Redis has a clock of its own, which cannot be moved; but it measures only what is left of each key.
            client = redis.from_url(self.uri)
            for key in client.scan_iter():
                client.pexpire(key, client.pttl(key) - round(seconds * 1000))

    def limiter(self, **settings: object) -> Limiter:
        """One that counts here."""
        chosen = Settings.model_validate({"limits_uri": self.uri, "limits_timeout_s": PATIENT_S, **settings})
        return Limiter(chosen, clock=self.clock)


@pytest.fixture
def subject() -> str:
    """A caller that nobody has seen before."""
    return f"key:{secrets.token_hex(6)}"


@pytest.fixture
def make_table(moto_url: str, aws_environment: pytest.MonkeyPatch) -> Callable[[], str]:
    """Makes tables as docs/limits.md says, with the environment to find them."""
    aws_environment.setenv("AWS_ENDPOINT_URL_DYNAMODB", moto_url)

    def make() -> str:
        name = f"limits-{secrets.token_hex(6)}"
        boto3.client("dynamodb").create_table(
            TableName=name,
            AttributeDefinitions=[{"AttributeName": "subject", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "subject", "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
        )
        return name

    return make


@pytest.fixture(params=["memory", "redis", "dynamodb"])
def place(request: pytest.FixtureRequest) -> Place:
    """Each kind."""
    if request.param == "memory":
        return Place("memory://", MemoryWindows())
    if request.param == "redis":
        uri: str = request.getfixturevalue("redis_url")
        return Place(uri, RedisWindows(uri, timeout_s=PATIENT_S))
    uri = f"dynamodb://{request.getfixturevalue('make_table')()}"
    return Place(uri, DynamoDBWindows(uri, timeout_s=PATIENT_S))


@pytest.fixture(autouse=True)
def noted() -> Iterator[dict[str, object]]:
    """What is noted about the request at hand."""
    with telemetry.task("test") as record:
        yield record.fields
