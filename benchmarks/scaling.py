"""Scaling on paper: what the measured figures come to at larger rates, and what that costs at list prices.

Usage: python benchmarks/scaling.py [results.json]
"""

import json
import math
import sys
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

from measure import table

from plant_disease.cost import estimate
from plant_disease.cost.aws import MB_PER_VCPU, MEMORY_MB, lambda_ms
from plant_disease.cost.google import UTILISATION, busy_instances
from plant_disease.cost.workload import MINUTES_PER_MONTH, Workload

PER_MINUTE = (10, 1_000, 100_000)
PLATFORMS = ("cloud-run", "cloud-run-instances", "lambda", "gke")
PHOTOS = ("256 px", "12 MP")


def workload(request: Mapping[str, Any], photo: str, per_minute: float) -> Workload:
    """A month at this rate, of requests as they were measured."""
    cpu_ms = median(request["full"][photo]["predict"]["cpu_ms"])
    return Workload(
        requests=per_minute * MINUTES_PER_MONTH,
        # A CPU of its own is what an instance has; alone on two, CPU time may overlap.
        ms=max(cpu_ms, request["alone_ms"][photo]["predict"]),
        cpu_ms=cpu_ms,
        request_kb=request["request_kb"][photo],
    )


def section(request: Mapping[str, Any]) -> str:
    """The Markdown, from the figures of the part `request`."""
    rows: list[list[object]] = []
    for photo in PHOTOS:
        for per_minute in PER_MINUTE:
            work = workload(request, photo, per_minute)
            busiest = per_minute / 60 * work.peak
            dollars = [estimate(each, work).usd_per_1000 or 0 for each in PLATFORMS]
            rows.append(
                [
                    photo,
                    f"{per_minute:,}",
                    f"{busiest * work.ms / 1000:.1f}",
                    busy_instances(work),
                    math.ceil(busiest * lambda_ms(work) / 1000),
                    *(f"{each:.3f}" if each < 1 else f"{each:.2f}" for each in dollars),
                ]
            )
    head = ["photo", "requests/minute", "at once", "instances", "on Lambda"]
    default = Workload(requests=0)
    memory_mb = MEMORY_MB["predict"]
    return (
        "Arithmetic, not a measurement: the CPU time and the latency above on instances of one CPU like these, with "
        f"the defaults of `plant-disease cost` (docs/cost.md): {default.peak:g} times the mean in the busiest minutes, "
        f"{UTILISATION:.0%} of a CPU in use when another instance starts, {default.regions} regions, "
        f"{default.min_instances} warm instance of each function. `at once`: requests inside in the busiest minutes; "
        "`instances`: for these, one CPU each; `on Lambda`: environments of "
        f"{memory_mb:g} MB, which have {memory_mb / MB_PER_VCPU:.2f} CPUs and one request each. "
        "The rest are US dollars for 1,000 diagnoses, the fixed part included.\n\n"
        + table([*head, *(f"{each}, $" for each in PLATFORMS)], rows)
    )


if __name__ == "__main__":
    default_file = Path(__file__).parent.parent / "docs/performance/results.json"
    file = Path(sys.argv[1]) if len(sys.argv) > 1 else default_file
    print(section(json.loads(file.read_text())["request"]))
