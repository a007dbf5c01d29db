"""One process of several that all ask for the same caller at once. Prints how many of its requests passed.

Usage: python -m tests.limits.hammer SUBJECT LIMIT REQUESTS
"""

import asyncio
import sys

from plant_disease.plans import Plan
from plant_disease.service import telemetry
from plant_disease.service.limits import Limiter, Standing
from plant_disease.service.problems import Problem
from plant_disease.settings import read_settings

AT_ONCE = 20


async def hammer(limiter: Limiter, subject: str, plan: Plan, requests: int) -> int:
    """Ask so often; anything but a pass or a 429 is an error."""

    async def some() -> int:
        passed = 0
        for _ in range(requests // AT_ONCE):
            try:
                standing = await limiter.take(subject, "predict", plan, 1)
            except Problem as problem:
                if problem.status != 429:
                    raise
            else:
                assert isinstance(standing, Standing)
                passed += 1
        return passed

    return sum(await asyncio.gather(*(some() for _ in range(AT_ONCE))))


def main(subject: str, limit: str, requests: str) -> None:
    """Start with the others, when told."""
    limiter = Limiter(read_settings())
    plan = Plan(rates={"predict": f"{limit}/day"}, quota="100000/month")
    with telemetry.task("test"):
        asyncio.run(limiter.standing("key:nobody", plan))
        print("ready", flush=True)
        sys.stdin.readline()
        print(asyncio.run(hammer(limiter, subject, plan, int(requests))))


if __name__ == "__main__":
    main(*sys.argv[1:])
