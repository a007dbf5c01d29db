"""What grows: memory over many mixed requests, and latency with the number of clients."""

import time
from statistics import mean

from load import closed_loop
from measure import Promise, percentile, table
from request import LEAF, PHONE
from services import ROOT, Service, post, ready, resident_mb

CLIENTS = (1, 2, 4, 8, 16, 32, 64)
LIMIT_S = 420
"""Fewer requests than wanted are asked if they would take longer."""


def everything() -> Service:
    """All functions in one process."""
    import sys

    environment = {"PLANT_AUTH": "off", "PYTHONPATH": f"{ROOT / 'shared'}:{ROOT}", "PLANT_MAX_QUEUE": "64"}
    command = [sys.executable, "-m", "plant_disease.cli", "serve", "--port"]
    return Service(lambda port: [*command, str(port)], ROOT, lambda _port: environment)


def mixed() -> list[bytes]:
    """Of twenty requests: 14 small photos, one of 12 MP, two explanations, a batch of four, two that are refused."""
    bad = [post(b"not a photo"), post(LEAF[:2000])]
    few = [post(PHONE), *2 * [post(LEAF, "/explain")], post(LEAF, "/batch", "images", copies=4)]
    return 14 * [post(LEAF)] + few + bad


def run(*, quick: bool) -> tuple[str, list[Promise], dict[str, object]]:
    """The Markdown of this part, its promises, and its figures."""
    total, step = (1000, 50) if quick else (20_000, 200)
    with ready(everything(), post(LEAF)) as (port, pid):
        memory: list[float] = []
        until = time.perf_counter() + LIMIT_S
        while len(memory) * step < total and time.perf_counter() < until:
            closed_loop(port, mixed(), 4, step)
            memory.append(resident_mb(pid))
        rows = []
        for clients in CLIENTS:
            load = closed_loop(port, [post(LEAF)], clients, 200 if quick else 600, 10)
            spots = [f"{percentile(load.times, percent):.1f}" for percent in (50, 95, 99)]
            rows.append([clients, *spots, f"{load.throughput:.0f}", load.errors])
    quarter = max(1, len(memory) // 4)
    means = [mean(memory[at : at + quarter]) for at in range(0, 4 * quarter, quarter)]
    asked = f"{len(memory) * step:,} mixed requests"
    text = (
        f"Resident memory in the quarters of {asked}, all functions in one process: "
        + ", ".join(f"{each:.0f}" for each in means)
        + " MB.\n\n"
        + table(["clients", "p50 ms", "p95", "p99", "answers/s", "errors"], rows)
    )
    promise = Promise(f"Memory over {asked}, last quarter of the second", means[3] / means[1], 1.02, most=True)
    return text, [promise], {"memory_mb": memory, "clients": rows}
