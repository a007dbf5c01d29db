"""What it costs to count a request, in memory and in a Redis on this machine, beside a PING of that Redis.

Prints the median and the 99th percentile of each in ms. The ratio says what threads and script add to the way to Redis.

Usage: python benchmarks/rate_limits.py [--requests 3000]
"""

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable, Callable

import redis

from plant_disease.plans import Plan
from plant_disease.service import telemetry
from plant_disease.service.limits import Limiter
from plant_disease.settings import Settings
from tests.servers import RedisServer

PLAN = Plan(rates={"predict": "1000000/hour"}, quota="100000000/month")
LIMIT_MS = 0.1
"""Counting in memory may take this much of the millisecond that key and limits together may cost."""


async def milliseconds(work: Callable[[], Awaitable[object]], requests: int) -> list[float]:
    """How long each takes, one after the other."""
    times = []
    for _ in range(requests):
        start = time.perf_counter()
        await work()
        times.append((time.perf_counter() - start) * 1000)
    return times


async def measure(uri: str, requests: int) -> list[float]:
    limiter = Limiter(Settings(limits_uri=uri, limits_timeout_s=10, limits_on_error="deny"))
    await limiter.take("key:warm", "predict", PLAN, 1)
    return await milliseconds(lambda: limiter.take("key:benchmark", "predict", PLAN, 1), requests)


async def pings(url: str, requests: int) -> list[float]:
    client = redis.from_url(url)

    async def ping() -> None:
        client.ping()

    return await milliseconds(ping, requests)


def main() -> int:
    """Measure and report; the exit code is 1 if counting in memory is over the limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=3000)
    requests = parser.parse_args().requests
    telemetry._record.set(telemetry.Record("benchmark"))
    with RedisServer() as server:
        times = {
            "memory": asyncio.run(measure("memory://", requests)),
            "redis": asyncio.run(measure(server.url, requests)),
            "PING": asyncio.run(pings(server.url, requests)),
        }
    for name, values in times.items():
        print(f"{name:8} {statistics.median(values):7.3f} ms   p99 {statistics.quantiles(values, n=100)[98]:7.3f} ms")
    medians = {name: statistics.median(values) for name, values in times.items()}
    print(f"redis    x {medians['redis'] / medians['PING']:.1f} of a PING")
    print(f"limit    {LIMIT_MS:.3f} ms for memory")
    return int(medians["memory"] > LIMIT_MS)


if __name__ == "__main__":
    sys.exit(main())
