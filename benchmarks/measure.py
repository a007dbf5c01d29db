"""How everything here is measured: in turns, as medians with their spread, and as ratios."""

import os
import platform
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median, quantiles
from typing import NamedTuple

import numpy as np


class Spread(NamedTuple):
    """The middle of some measurements, and the quartiles around it."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.low:.2f} to {self.high:.2f})"


class Promise(NamedTuple):
    """One line of what this project promises of its speed.

    Attributes:
        what: in words.
        figure: measured.
        limit: that it must keep.
        most: whether the limit is the most there may be, or else the least.
        note: how it was measured, or why it is missed.
    """

    what: str
    figure: float
    limit: float
    most: bool
    note: str = ""

    @property
    def holds(self) -> bool:
        """Whether it is kept."""
        return self.figure <= self.limit if self.most else self.figure >= self.limit


def spread(values: list[float]) -> Spread:
    low, _, high = quantiles(values, n=4, method="inclusive") if len(values) > 1 else (values[0],) * 3
    return Spread(median(values), low, high)


def in_turns(
    candidates: Mapping[str, Callable[[], object]], rounds: int, *, warm: int = 3, row: int = 1, limit_s: float = 60
) -> dict[str, Spread]:
    """Milliseconds of each candidate, called A B A B so that what else the machine does meets all of them.

    Args:
        candidates: what to call.
        rounds: turns of each; fewer if they would take longer than the limit, but one.
        warm: turns before that are not timed.
        row: calls in a row, each timed, in a turn.
        limit_s: seconds for all of it.
    """
    times: dict[str, list[float]] = {name: [] for name in candidates}
    until = time.perf_counter() + limit_s
    for number in range(rounds + warm):
        for name, call in candidates.items():
            for _ in range(row):
                began = time.perf_counter()
                call()
                if number >= warm:
                    times[name].append((time.perf_counter() - began) * 1000)
        if number >= warm and time.perf_counter() > until:
            break
    return {name: spread(values) for name, values in times.items()}


def percentile(values: list[float], percent: float) -> float:
    return float(np.percentile(values, percent)) if values else float("nan")


def machine() -> str:
    """The CPU, how many of them, what matters of its instructions, and the system."""
    info = Path("/proc/cpuinfo").read_text()
    name = next((line.split(":", 1)[1].strip() for line in info.splitlines() if line.startswith("model name")), "?")
    has = [flag for flag in ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8") if f" {flag} " in f" {info} "]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{len(os.sched_getaffinity(0))} CPUs of {name} ({', '.join(has)}), {memory:.0f} GiB, "
        f"Linux {platform.release()}, Python {platform.python_version()}; load before the run {os.getloadavg()[0]:.1f}"
    )


def table(head: list[str], rows: list[list[object]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)
