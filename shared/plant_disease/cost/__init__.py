"""What a month of the service costs on each platform, from list prices.

`estimate` is pure arithmetic over `Workload`: quantities from the modules of the platforms, times the prices of
`prices.toml`. docs/cost.md says what is in it and what is not.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import combinations

from plant_disease.cost.aws import aws_lambda
from plant_disease.cost.google import cloud_run, cloud_run_instances
from plant_disease.cost.kubernetes import eks, gke
from plant_disease.cost.workload import Bill, Line, Workload, total_usd

PLATFORMS: dict[str, Bill] = {
    "cloud-run": cloud_run,
    "cloud-run-instances": cloud_run_instances,
    "lambda": aws_lambda,
    "gke": gke,
    "eks": eks,
}
MAX_PER_MINUTE = 100_000


@dataclass(frozen=True)
class Estimate:
    """What one platform costs in a month.

    Attributes:
        fixed_usd: what is paid without a single request.
        lines: the bill.
    """

    platform: str
    requests: float
    fixed_usd: float
    lines: tuple[Line, ...]

    @property
    def monthly_usd(self) -> float:
        """US dollars a month."""
        return total_usd(list(self.lines))

    @property
    def variable_usd(self) -> float:
        """What the requests add to `fixed_usd`."""
        return self.monthly_usd - self.fixed_usd

    @property
    def usd_per_1000(self) -> float | None:
        """US dollars for 1,000 diagnoses, the fixed part included; None without requests."""
        return 1000 * self.monthly_usd / self.requests if self.requests else None


@dataclass(frozen=True)
class BreakEven:
    """From `per_minute` requests a minute on, `then` is the cheaper one and no longer `before`."""

    before: str
    then: str
    per_minute: int


def estimate(platform: str, work: Workload) -> Estimate:
    """What a month's work costs on a platform.

    Raises:
        KeyError: there is no such platform.
    """
    bill = PLATFORMS[platform]
    return Estimate(platform, work.requests, total_usd(bill(replace(work, requests=0))), tuple(bill(work)))


def break_even(work: Workload, platforms: Iterable[str]) -> Iterator[BreakEven]:
    """Where two platforms change places first, up to `MAX_PER_MINUTE`; pairs that never do are left out."""
    for one, other in combinations(platforms, 2):

        def dearer(per_minute: int, one: str = one, other: str = other) -> bool:
            now = work.with_per_minute(per_minute)
            return total_usd(PLATFORMS[one](now)) > total_usd(PLATFORMS[other](now))

        start = dearer(1)
        low = high = 1
        while high < MAX_PER_MINUTE and dearer(high) == start:
            # Small steps, because nodes and instances come whole and their bills are stairs.
            low, high = high, min(MAX_PER_MINUTE, high + 1 + high // 20)
        if dearer(high) == start:
            continue
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if dearer(middle) == start else (low, middle)
        before, then = (other, one) if start else (one, other)
        yield BreakEven(before, then, high)
