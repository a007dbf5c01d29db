"""What a service has to do in a month, and what an estimate of its cost is."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Self

from plant_disease.cost.prices import price_list

HOURS_PER_MONTH = 730
SECONDS_PER_MONTH = HOURS_PER_MONTH * 3600
MINUTES_PER_MONTH = HOURS_PER_MONTH * 60

VISITS_PER_REQUEST = 0.1
"""Visits of the page whose browser has nothing of it yet, for each request."""
PAGE_REQUESTS = 42
PAGE_KB = 134
"""What such a visit asks for, and gets with gzip; the service worker fetches the shell once more to keep it."""


@dataclass(frozen=True)
class Workload:
    """A month's work, and the sizes it is done with.

    Attributes:
        requests: in the month; one request diagnoses one photo.
        ms: from request to answer on `cpus`, mean.
        cpu_ms: CPU time in it, mean, at most `ms`.
        memory_mb: of every instance; None: what Terraform gives each function on the platform.
        cpus: of an instance.
        concurrency: requests that a busy instance answers at the same time, mean.
        min_instances: kept warm in each region.
        regions: 1 or 2.
        peak: requests in the busiest minutes, over the mean; sizes what does not scale by request.
        request_kb: bytes of a request, mean, in kB.
        answer_kb: bytes of an answer, mean, in kB.
        upload_share: of the requests whose photo goes by `/uploads`, 0 to 1.
        log_kb: log lines of a request, in kB.
        limits: count rates and quotas in Memorystore (Google) or DynamoDB (AWS).

    Raises:
        ValueError: a field is out of its range.
    """

    requests: float
    ms: float = 100
    cpu_ms: float = 29
    memory_mb: float | None = None
    cpus: float = 1
    concurrency: float = 1
    min_instances: int = 1
    regions: int = 2
    peak: float = 3
    request_kb: float = 400
    answer_kb: float = 2
    upload_share: float = 0
    log_kb: float = 1
    limits: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        for field in fields(self):
            if (getattr(self, field.name) or 0) < 0:
                raise ValueError(f"{field.name} must not be negative")
        if self.regions not in (1, 2):
            raise ValueError("regions must be 1 or 2")
        if self.upload_share > 1:
            raise ValueError("upload_share must be from 0 to 1")
        if self.cpu_ms > self.ms:
            raise ValueError("cpu_ms must not be more than ms: it is a part of it")
        if self.concurrency < 1 or self.peak < 1:
            raise ValueError("concurrency and peak must be at least 1")
        if self.memory_mb == 0 or self.cpus == 0:
            raise ValueError("memory_mb and cpus must be more than 0")

    @property
    def per_minute(self) -> float:
        """Requests a minute, mean over the month."""
        return self.requests / MINUTES_PER_MONTH

    def memory_gib(self, default_mb: float) -> float:
        """Memory of an instance in GiB, as both clouds count it."""
        return (default_mb if self.memory_mb is None else self.memory_mb) / 1024

    @property
    def balanced_kb(self) -> float:
        """What a request and its answer bring through the load balancer, in kB."""
        return self.request_kb * (1 - self.upload_share) + self.answer_kb

    def with_per_minute(self, per_minute: float) -> Self:
        """The same with so many requests a minute."""
        return replace(self, requests=per_minute * MINUTES_PER_MONTH)


@dataclass(frozen=True)
class Line:
    """One line of a bill: so many units of one price."""

    item: str
    price: str
    quantity: float

    @property
    def usd(self) -> float:
        """US dollars a month."""
        return self.quantity * price_list().prices[self.price].usd


Bill = Callable[[Workload], list[Line]]
"""What a platform charges for a month's work."""


def total_usd(lines: list[Line]) -> float:
    """US dollars a month, all lines together."""
    return sum(line.usd for line in lines)
