"""The store is gone, slow, wrong, and back."""

import asyncio
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from plant_disease.errors import ConfigurationError
from plant_disease.plans import Plan
from plant_disease.service import telemetry
from plant_disease.service.limits import Limiter, Standing, stores
from plant_disease.service.problems import Problem
from plant_disease.settings import Settings
from tests.functions.processes import wait_for
from tests.limits.conftest import PATIENT_S
from tests.servers import FaultyProxy, RedisServer

PLAN = Plan(rates={"predict": "1000/day"}, quota="1000/month")
WITHIN_S = 60


def limiter_at(uri: str, **settings: object) -> Limiter:
    return Limiter(Settings.model_validate({"limits_uri": uri, **settings}))


def take(limiter: Limiter, subject: str) -> Standing:
    return asyncio.run(limiter.take(subject, "predict", PLAN, 1))


def is_counted(limiter: Limiter, subject: str) -> bool:
    return bool(take(limiter, subject).limits)


def used(limiter: Limiter, subject: str) -> int:
    return asyncio.run(limiter.standing(subject, PLAN)).limits[0].used


class _Kept(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


@pytest.fixture
def log() -> Iterator[list[str]]:
    """What is logged."""
    handler = _Kept()
    telemetry.logger.addHandler(handler)
    yield handler.lines
    telemetry.logger.removeHandler(handler)


@pytest.fixture(params=["redis", "dynamodb"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def proxy(kind: str, request: pytest.FixtureRequest) -> Iterator[FaultyProxy]:
    with FaultyProxy(request.getfixturevalue("redis_url" if kind == "redis" else "moto_url")) as proxy:
        yield proxy


@pytest.fixture
def uri(kind: str, proxy: FaultyProxy, make_table: Callable[[], str], aws_environment: pytest.MonkeyPatch) -> str:
    """A store behind the proxy."""
    if kind == "redis":
        return proxy.url.replace("http", "redis")
    table = make_table()
    aws_environment.setenv("AWS_ENDPOINT_URL_DYNAMODB", proxy.url)
    return f"dynamodb://{table}"


@pytest.mark.parametrize("mode", ["refuse", "reset", "hang", "slow"])
def test_requests_pass_uncounted_and_are_counted_again(
    uri: str,
    proxy: FaultyProxy,
    mode: str,
    subject: str,
    noted: dict[str, object],
    log: list[str],
) -> None:
    limiter = limiter_at(uri, limits_timeout_s=1)
    wait_for(lambda: is_counted(limiter, subject), WITHIN_S)
    log.clear()

    proxy.set(mode)  # type: ignore[arg-type]
    for _ in range(30):
        assert take(limiter, subject).headers() == {}
        assert noted["limit"] == "error"
    assert proxy.connections < 10, "all but a few did not even try"
    assert len(log) == 1

    proxy.set("pass")
    wait_for(lambda: is_counted(limiter, subject), WITHIN_S)
    assert noted["limit"] == "allowed"
    failed, recovered = log
    assert "nothing is counted" in failed
    assert "answers again" in recovered
    assert int(recovered.rpartition(" ")[2]) >= 30


def test_requests_are_refused_where_that_is_wanted(
    uri: str, proxy: FaultyProxy, subject: str, noted: dict[str, object]
) -> None:
    proxy.set("refuse")
    limiter = limiter_at(uri, limits_on_error="deny")
    for _ in range(3):
        with pytest.raises(Problem) as caught:
            take(limiter, subject)
        assert (caught.value.status, caught.value.code) == (503, "limits_unavailable")
        assert caught.value.headers["Retry-After"] == "1"
        assert noted["limit"] == "error"
    with pytest.raises(Problem) as caught:
        asyncio.run(limiter.standing(subject, PLAN))
    assert caught.value.code == "limits_unavailable"


def test_nothing_else_waits_for_a_store_that_hangs(uri: str, proxy: FaultyProxy, subject: str) -> None:
    limiter = limiter_at(uri, limits_timeout_s=2)
    proxy.set("hang")

    async def ticks_meanwhile() -> int:
        asked = asyncio.create_task(limiter.take(subject, "predict", PLAN, 1))
        ticks = 0
        while not asked.done():
            await asyncio.sleep(0.01)
            ticks += 1
        assert asked.result().limits == ()
        return ticks

    assert asyncio.run(ticks_meanwhile()) > 10


def test_giving_back_to_a_store_that_is_gone_harms_nobody(uri: str, proxy: FaultyProxy, subject: str) -> None:
    limiter = limiter_at(uri, limits_timeout_s=PATIENT_S)
    standing = take(limiter, subject)
    assert standing.limits
    proxy.set("refuse")
    assert asyncio.run(limiter.give_back(standing, 1)) == standing


@pytest.mark.parametrize("kind", ["dynamodb"])
def test_a_charge_whose_answer_is_lost_is_made_once(uri: str, proxy: FaultyProxy, subject: str) -> None:
    limiter = limiter_at(uri, limits_timeout_s=PATIENT_S)
    take(limiter, subject)
    proxy.set("drop")
    assert not is_counted(limiter, subject)
    proxy.set("pass")
    wait_for(lambda: is_counted(limiter, subject), WITHIN_S)
    assert used(limiter, subject) == 3


def test_connections_that_were_idle_for_long_are_not_used_again(
    uri: str, kind: str, proxy: FaultyProxy, subject: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    limiter = limiter_at(uri, limits_timeout_s=PATIENT_S)
    take(limiter, subject)
    proxy.connections = 0
    for _ in range(3):
        assert is_counted(limiter, subject)
    assert proxy.connections == (0 if kind == "redis" else 3), "moto itself keeps none open"
    proxy.connections = 0
    monkeypatch.setattr(stores, "_IDLE_S", -1)
    for _ in range(3):
        assert is_counted(limiter, subject)
    assert proxy.connections == 3


def test_redis_restarts(subject: str) -> None:
    server = RedisServer()
    server.start()
    limiter = limiter_at(server.url, limits_timeout_s=PATIENT_S)
    assert is_counted(limiter, subject)
    server.stop()
    assert not is_counted(limiter, subject)
    with server:
        wait_for(lambda: is_counted(limiter, subject), WITHIN_S)
        assert used(limiter, subject) == 1


def test_redis_is_a_cluster(subject: str, tmp_path: Path) -> None:
    with RedisServer("--cluster-enabled", "yes", "--dir", str(tmp_path)) as server:
        client = redis.from_url(server.url)
        client.execute_command("CLUSTER", "ADDSLOTS", *range(16_384))
        wait_for(lambda: b"cluster_state:ok" in client.execute_command("CLUSTER", "INFO"), WITHIN_S)
        assert is_counted(limiter_at(server.url, limits_timeout_s=PATIENT_S), subject)


def test_redis_may_forget_scripts(redis_url: str, subject: str) -> None:
    limiter = limiter_at(redis_url, limits_timeout_s=PATIENT_S)
    assert is_counted(limiter, subject)
    redis.from_url(redis_url).script_flush()
    assert used(limiter, subject) == 1
    assert is_counted(limiter, subject)


def test_a_counter_in_redis_without_an_end_gets_one(redis_url: str, subject: str) -> None:
    limiter = limiter_at(redis_url, limits_timeout_s=PATIENT_S)
    take(limiter, subject)
    client = redis.from_url(redis_url)
    keys = list(client.scan_iter(f"*{subject}*"))
    assert [client.persist(key) for key in keys] == [1, 1]
    take(limiter, subject)
    assert all(client.pttl(key) > 0 for key in keys)


def test_a_password_is_not_logged(redis_url: str, subject: str, log: list[str]) -> None:
    limiter = limiter_at(redis_url.replace("://", "://:hunter2@"), limits_timeout_s=PATIENT_S)
    assert not is_counted(limiter, subject)
    (line,) = log
    assert "AuthenticationError" in line
    assert "hunter2" not in line
    assert "hunter2" not in repr(Settings.model_validate({"limits_uri": "redis://:hunter2@127.0.0.1"}))


def test_the_log_names_what_aws_says(make_table: Callable[[], str], subject: str, log: list[str]) -> None:
    limiter = limiter_at(f"dynamodb://{make_table()}-gone", limits_timeout_s=PATIENT_S)
    assert not is_counted(limiter, subject)
    (line,) = log
    assert "ResourceNotFoundException" in line


def test_credentials_may_come_later(
    make_table: Callable[[], str],
    subject: str,
    aws_environment: pytest.MonkeyPatch,
    log: list[str],
) -> None:
    table = make_table()
    aws_environment.delenv("AWS_ACCESS_KEY_ID")
    limiter = limiter_at(f"dynamodb://{table}", limits_timeout_s=PATIENT_S)
    assert not is_counted(limiter, subject)
    assert "NoCredentialsError" in log[0]
    aws_environment.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    wait_for(lambda: is_counted(limiter, subject), WITHIN_S)


def test_a_key_of_somebody_else_in_redis(redis_url: str, subject: str, log: list[str]) -> None:
    redis.from_url(redis_url).lpush(f"LIMITS:{{{subject}}}/predict/day", "no counter")
    limiter = limiter_at(redis_url, limits_timeout_s=PATIENT_S)
    assert not is_counted(limiter, subject)
    assert "ResponseError" in log[0]


@pytest.mark.parametrize(
    "uri", ["redis://:se/cret@host", "redis://:se#cret@host:6379", "redis://host:port", "redis:///0"]
)
def test_a_malformed_address_stops_the_start(uri: str) -> None:
    with pytest.raises(ConfigurationError, match="PLANT_LIMITS_URI") as caught:
        limiter_at(uri)
    assert "cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("uri", "module", "extra"),
    [("redis://host", "redis", "redis"), ("rediss://host", "redis", "redis"), ("dynamodb://table", "boto3", "aws")],
)
def test_missing_extra(uri: str, module: str, extra: str) -> None:
    # None in sys.modules is how Python itself marks a module that cannot be imported.
    code = f"""
import sys
sys.modules[{module!r}] = None
from plant_disease.errors import ConfigurationError
from plant_disease.service.limits import Limiter
from plant_disease.settings import Settings
try:
    Limiter(Settings(limits_uri={uri!r}))
except ConfigurationError as error:
    print(error)
"""
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert said.strip().endswith(f'pip install "plant-disease-detector[{extra}]"')
