"""What a caller is told, and what is counted against it."""

import asyncio
import sys
import threading
from datetime import UTC, datetime

import httpx
import pytest
from fastapi import APIRouter, Request
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from plant_disease.plans import Plan
from plant_disease.service import telemetry
from plant_disease.service.app import create_app
from plant_disease.service.limits import Limiter, Standing, subject_of_address
from plant_disease.service.problems import Problem
from plant_disease.settings import Settings
from tests.limits.conftest import Clock, Place

PLAN = Plan(rates={"predict": "10/hour", "batch": "100/day"}, quota="150/month")


def take(limiter: Limiter, subject: str, photos: int = 1, plan: Plan = PLAN, endpoint: str = "predict") -> Standing:
    return asyncio.run(limiter.take(subject, endpoint, plan, photos))  # type: ignore[arg-type]


def refusal(limiter: Limiter, subject: str, photos: int = 1, plan: Plan = PLAN, endpoint: str = "predict") -> Problem:
    with pytest.raises(Problem) as caught:
        take(limiter, subject, photos, plan, endpoint)
    return caught.value


def left(standing: Standing) -> dict[str, int]:
    return {limit.name: limit.left for limit in standing.limits}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def limiter(clock: Clock) -> Limiter:
    return Limiter(Settings(), clock=clock)


def test_photos_are_counted_against_rate_and_quota(place: Place, subject: str, noted: dict[str, object]) -> None:
    limiter = place.limiter()
    assert left(take(limiter, subject)) == {"predict": 9, "quota": 149}
    assert left(take(limiter, subject, 5)) == {"predict": 4, "quota": 144}
    assert left(take(limiter, subject, 64, endpoint="batch")) == {"batch": 36, "quota": 80}
    assert noted["limit"] == "allowed"
    assert left(asyncio.run(limiter.standing(subject, PLAN))) == {"predict": 4, "batch": 36, "quota": 80}


def test_a_refused_batch_leaves_what_is_left_to_others(place: Place, subject: str, noted: dict[str, object]) -> None:
    limiter = place.limiter()
    take(limiter, subject, 60, endpoint="batch")
    for _ in range(3):
        assert refusal(limiter, subject, 64, endpoint="batch").status == 429
        assert noted["limit"] == "limited"
    assert left(take(limiter, subject, 40, endpoint="batch")) == {"batch": 0, "quota": 50}
    assert refusal(limiter, subject, 1, endpoint="batch").status == 429
    assert left(take(limiter, subject)) == {"predict": 9, "quota": 49}


def test_what_the_quota_refuses_costs_no_rate(place: Place, subject: str, noted: dict[str, object]) -> None:
    limiter = place.limiter()
    plan = Plan(rates={"predict": "10/hour"}, quota="4/day")
    assert left(take(limiter, subject, 3, plan)) == {"predict": 7, "quota": 1}
    assert refusal(limiter, subject, 2, plan).status == 402
    assert noted["limit"] == "quota"
    assert left(take(limiter, subject, 1, plan)) == {"predict": 6, "quota": 0}


def test_what_was_not_done_is_given_back_to_the_quota(place: Place, subject: str) -> None:
    limiter = place.limiter()
    standing = take(limiter, subject, 64, endpoint="batch")
    given = asyncio.run(limiter.give_back(standing, 4))
    assert left(given) == {"batch": 36, "quota": 90}
    assert left(asyncio.run(limiter.standing(subject, PLAN)))["quota"] == 90
    assert asyncio.run(limiter.give_back(standing, 0)) == standing


def test_nothing_is_given_back_to_a_later_window(place: Place, subject: str) -> None:
    limiter = place.limiter()
    plan = Plan(quota="10/hour")
    standing = take(limiter, subject, 5, plan)
    place.pass_time(4000)
    take(limiter, subject, 5, plan)
    asyncio.run(limiter.give_back(standing, 5))
    assert left(take(limiter, subject, 1, plan)) == {"quota": 4}


def test_a_window_ends(place: Place, subject: str) -> None:
    limiter = place.limiter()
    take(limiter, subject, 10)
    assert refusal(limiter, subject).status == 429
    place.pass_time(1000)
    assert 2000 < int(refusal(limiter, subject).headers["Retry-After"]) <= 2600
    place.pass_time(3000)
    assert left(take(limiter, subject, 10)) == {"predict": 0, "quota": 130}


def test_a_larger_plan_knows_what_was_used(place: Place, subject: str) -> None:
    limiter = place.limiter()
    take(limiter, subject, 10)
    larger = Plan(rates={"predict": "30/hour"}, quota="1000/month")
    assert left(take(limiter, subject, 1, larger)) == {"predict": 19, "quota": 989}
    assert left(asyncio.run(limiter.standing(subject, Plan(quota="5/month")))) == {"quota": 0}


def test_headers(limiter: Limiter, clock: Clock, subject: str) -> None:
    take(limiter, subject)
    clock.now += 10.5
    assert take(limiter, subject).headers() == {
        "RateLimit-Policy": '"predict";q=10;w=3600, "quota";q=150;w=2592000',
        "RateLimit": f'"predict";r=8;t=3590, "quota";r=148;t={7 * 86_400 + 8 * 3600 - 10}',
    }


def test_without_limits_nothing_is_counted(limiter: Limiter, subject: str, noted: dict[str, object]) -> None:
    standing = take(limiter, subject, 1000, Plan(rates={"batch": "1/day"}))
    assert standing.headers() == {}
    assert noted["limit"] == "allowed"


@pytest.mark.parametrize(
    ("plan", "before", "photos", "status", "words"),
    [
        (Plan(rates={"predict": "1/minute"}), 1, 1, 429, "1 photo a minute on predict, and all of them are used"),
        (Plan(rates={"predict": "1/minute"}), 1, 1, 429, "Try again in 60 s."),
        (Plan(rates={"predict": "9/second"}), 7, 3, 429, "2 are left, too few for the 3 of this request"),
        (Plan(rates={"predict": "9/second"}), 0, 64, 429, "64 photos, and the plan allows 9 photos a second"),
        (Plan(rates={"predict": "9/second"}), 0, 64, 429, "can never pass. Send fewer at once."),
        (Plan(quota="5000/month"), 5000, 1, 402, "5,000 photos a month, and all of them are used"),
        (Plan(quota="5000/month"), 5000, 1, 402, "The quota begins anew at 2026-12-01 00:00 UTC."),
        (Plan(quota="9/day"), 0, 10, 402, "can never pass"),
        (Plan(rates={"predict": "2/second"}, quota="2/day"), 2, 1, 402, "begins anew at 2026-11-24 16:00 UTC."),
    ],
)
def test_a_refusal_says_why_and_until_when(
    limiter: Limiter, subject: str, plan: Plan, before: int, photos: int, status: int, words: str
) -> None:
    if before:
        take(limiter, subject, before, plan)
    problem = refusal(limiter, subject, photos, plan)
    assert problem.status == status
    assert words in problem.detail
    limits = problem.headers["RateLimit"].split(", ")
    assert problem.headers["Retry-After"] == limits[-1 if status == 402 else 0].rpartition("t=")[2]
    assert int(problem.headers["Retry-After"]) > 0


@pytest.mark.parametrize(
    ("now", "seconds", "ends"),
    [
        ("2026-02-01T00:00:00+00:00", 28, "2026-03-01"),
        ("2028-02-29T23:59:59+00:00", 29, "2028-03-01"),
        ("2026-12-31T23:59:59+00:00", 31, "2027-01-01"),
        ("2026-06-30T23:30:00-02:00", 31, "2026-08-01"),
    ],
)
def test_a_month_is_one_of_the_calendar(now: str, seconds: int, ends: str, subject: str) -> None:
    clock = Clock(datetime.fromisoformat(now).timestamp())
    limiter = Limiter(Settings(), clock=clock)
    (limit,) = take(limiter, subject, 1, Plan(quota="1/month")).limits
    assert (limit.seconds, limit.ends) == (
        seconds * 86_400,
        datetime.fromisoformat(ends).replace(tzinfo=UTC).timestamp(),
    )
    assert refusal(limiter, subject, 1, Plan(quota="1/month")).status == 402
    clock.now = limit.ends
    assert left(take(limiter, subject, 1, Plan(quota="1/month"))) == {"quota": 0}


def test_as_an_answer(subject: str) -> None:
    router = APIRouter()

    @router.get("/one")
    async def one(request: Request) -> None:
        await request.app.state.limiter.take(subject, "predict", Plan(rates={"predict": "1/day"}), 1)

    async def ask() -> list[httpx.Response]:
        transport = httpx.ASGITransport(create_app(router))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return [await client.get("/one") for _ in range(2)]

    passed, refused = asyncio.run(ask())
    assert passed.status_code == 200
    assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
    assert refused.headers["ratelimit-policy"] == '"predict";q=1;w=86400'
    assert refused.headers["ratelimit"].startswith('"predict";r=0;t=')
    assert refused.headers["retry-after"] == refused.headers["ratelimit"].partition("t=")[2]


def test_memory_is_exact_among_threads(limiter: Limiter, subject: str) -> None:
    plan = Plan(rates={"predict": "1000/day"}, quota="100000/month")
    passed = []

    def work() -> None:
        async def many() -> list[Standing | BaseException]:
            asked = (limiter.take(subject, "predict", plan, 1) for _ in range(1250))
            return await asyncio.gather(*asked, return_exceptions=True)

        with telemetry.task("test"):
            passed.extend(each for each in asyncio.run(many()) if isinstance(each, Standing))

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert len(passed) == 1000
    assert left(asyncio.run(limiter.standing(subject, plan))) == {"predict": 0, "quota": 99_000}


@pytest.mark.parametrize(
    ("address", "subject"),
    [
        ("192.0.2.7", "address:192.0.2.7"),
        ("::ffff:192.0.2.7", "address:192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "address:2001:db8:1:2::/64"),
        ("fe80::1%eth0", "address:fe80::/64"),
    ],
)
def test_subject_of_an_address(address: str, subject: str) -> None:
    assert subject_of_address(address) == subject


@given(st.ip_addresses(v=6), st.integers(0, 2**64 - 1))
@hypothesis_settings(derandomize=True)
def test_one_customer_is_one_subject(address: object, host: int) -> None:
    from ipaddress import IPv6Address

    neighbour = IPv6Address(int(IPv6Address(str(address))) >> 64 << 64 | host)
    if not (IPv6Address(str(address)).ipv4_mapped or neighbour.ipv4_mapped):
        assert subject_of_address(str(address)) == subject_of_address(str(neighbour))


@pytest.mark.parametrize("text", ["", "testclient", "192.0.2.7, 192.0.2.8", "1.2.3", "2001:db8::/64"])
def test_what_is_no_address_is_no_subject(text: str) -> None:
    with pytest.raises(ValueError, match="address"):
        subject_of_address(text)
