"""A request end to end, over a real socket: beside a bare loop, beside the peers, and under load until it is full."""

import re
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from statistics import median
from typing import NamedTuple

from load import Client, Load, closed_loop, open_loop
from measure import Promise, Spread, in_turns, percentile, spread, table
from services import PEERS, ROOT, Running, Service, cpu_s, ours, peak_mb, peers, post, ready, resident_mb, usual

from plant_disease import images
from plant_disease.bundle import open_bundle
from plant_disease.runtimes import open_runtime
from plant_disease.settings import bundled_models

LEAF = (ROOT / "tests/photos/apple-cedar-rust-3.jpg").read_bytes()
PHONE = (ROOT / "tests/photos/phone-12mp.jpg").read_bytes()
CLIENTS = 8
"""Enough to keep two CPUs busy; more only wait."""
STEPS = (0.25, 0.5, 0.75, 0.9, 1.1)
FEW_STEPS = (0.5, 0.9, 1.1)
SLICES = 4
BATCH = 8
"""Photos of a batch."""
OURS, USUAL = "predict", "the usual way"


class Full(NamedTuple):
    """A service that has more to do than it can.

    Attributes:
        rates: answers a second, of each turn.
        cpu_ms: CPU time of an answer, of each turn.
        errors: of all turns.
    """

    rates: list[float]
    cpu_ms: list[float]
    errors: list[int]

    @property
    def most(self) -> float:
        """Answers a second."""
        return median(self.rates)


def bare_loop() -> Callable[[bytes], object]:
    """Decode and forward of a photo, and nothing else, with as many threads as the service gives a forward pass."""
    bundle = open_bundle(bundled_models())
    runtime = open_runtime("onnx", bundle, threads=1)
    return lambda photo: runtime.run(images.load(photo, bundle.manifest.input.size).pixels[None])


def run(*, quick: bool) -> tuple[str, list[Promise], dict[str, object]]:
    """The Markdown of this part, its promises, and its figures."""
    turns, turn_s, step_s = (2, 1.0, 2.0) if quick else (8, 3.0, 8.0)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        services: dict[str, Service] = {OURS: ours(), USUAL: usual(Path(folder))}
        if PEERS.exists():
            services |= peers()
        # All of them run all the time, idle but for the one that is asked.
        running = {name: stack.enter_context(ready(each, post(LEAF))) for name, each in services.items()}
        alone = _alone(running, 4 if quick else 40)
        steps = _steps(running[OURS].port, 20 if quick else 200)
        small = _full(dict.fromkeys(running, post(LEAF)), running, turns, turn_s)
        memory = {name: resident_mb(each.pid) for name, each in running.items()}
        rising = _rising(dict.fromkeys(running, post(LEAF)), running, small, STEPS, step_s)
        two = {name: running[name] for name in (OURS, USUAL)}
        large = _full(dict.fromkeys(two, post(PHONE)), two, turns // 2, turn_s)
        rising_large = _rising(dict.fromkeys(two, post(PHONE)), two, large, FEW_STEPS, step_s)
        peak = peak_mb(running[OURS].pid)
    asked = {
        "explain": post(LEAF, "/explain"),
        "batch": post(LEAF, "/batch", "images", copies=BATCH),
    }
    with ExitStack() as stack:
        running = {name: stack.enter_context(ready(ours(name), request)) for name, request in asked.items()}
        others = _full(asked, running, turns // 2, turn_s)
        rising_others = _rising(asked, running, others, FEW_STEPS, step_s)
    half = next(row for row in rising if row[0] == OURS and row[1] == "50%")
    promises = [
        *_promises_alone(alone),
        Promise("Throughput at saturation, times the usual way", small[OURS].most / small[USUAL].most, 3, most=False),
        *(
            Promise(f"Throughput at saturation, times {name}", small[OURS].most / small[name].most, 1, most=False)
            for name in small
            if name not in (OURS, USUAL)
        ),
        Promise("p99 at half load, times p50", float(half[5]) / float(half[3]), 3, most=True),
        Promise("Resident memory of predict under load, MB", peak, 300, most=True),
    ]
    head = ["service", "load", "requests/s", "p50 ms", "p95", "p99", "refused"]
    photos = {"256 px": alone["256 px"]["bare loop"].median, "12 MP": alone["12 MP"]["bare loop"].median}
    text = "\n\n".join(
        [
            "### One client",
            table(
                ["photo", "service", "ms (quartiles)", "x bare loop"],
                [
                    [photo, name, each, f"{each.median / photos[photo]:.2f}"]
                    for photo, times in alone.items()
                    for name, each in times.items()
                ],
            ),
            "Where each millisecond of ours goes, as `Server-Timing` and the client's clock say; medians:",
            table(
                ["photo", *steps["256 px"]],
                [[photo, *(f"{ms:.2f}" for ms in each.values())] for photo, each in steps.items()],
            ),
            f"### Full: {CLIENTS} clients at once",
            table(
                ["request", "service", "answers/s (quartiles)", "errors", "CPU ms/answer", "MB"],
                [
                    *(_row("a photo of 256 px", name, each, f"{memory[name]:.0f}") for name, each in small.items()),
                    *(_row("a photo of 12 MP", name, each, "") for name, each in large.items()),
                    _row("a photo of 256 px", "explain", others["explain"], ""),
                    _row(f"{BATCH} photos of 256 px", "batch", others["batch"], ""),
                ],
            ),
            "### Rising rates, of what each can do",
            "Above what it can do, ours turns requests away (503) so that the others are answered in time.",
            "A photo of 256 px:\n\n" + table(head, rising),
            "A photo of 12 MP:\n\n" + table(head, rising_large),
            f"`explain`, and `batch` with {BATCH} photos, of 256 px:\n\n" + table(head, rising_others),
        ]
    )
    figures: dict[str, object] = {
        "alone_ms": {photo: {name: each.median for name, each in times.items()} for photo, times in alone.items()},
        "steps_ms": steps,
        "full": {
            "256 px": {name: each._asdict() for name, each in small.items()},
            "12 MP": {name: each._asdict() for name, each in large.items()},
            **{name: each._asdict() for name, each in others.items()},
        },
        "memory_mb": memory,
        "rising": {"256 px": rising, "12 MP": rising_large, "others": rising_others},
        "request_kb": {"256 px": len(post(LEAF)) / 1000, "12 MP": len(post(PHONE)) / 1000},
    }
    return text, promises, figures


def _alone(running: dict[str, Running], rounds: int) -> dict[str, dict[str, Spread]]:
    """Photo -> who -> ms of one client: five requests in a row, then the next one's turn."""
    bare = bare_loop()
    times = {}
    for what, photo in (("256 px", LEAF), ("12 MP", PHONE)):
        calls: dict[str, Callable[[], object]] = {"bare loop": partial(bare, photo)}
        calls |= {name: Client(port, post(photo)).ask for name, (port, _) in running.items()}
        times[what] = in_turns(calls, rounds, warm=2, row=5)
    return times


def _steps(port: int, requests: int) -> dict[str, dict[str, float]]:
    """Photo -> step -> ms of one client that asks again and again."""
    steps = {}
    for what, photo in (("256 px", LEAF), ("12 MP", PHONE)):
        client = Client(port, post(photo))
        times: dict[str, list[float]] = {}
        for _ in range(requests):
            began = time.perf_counter()
            head = client.ask().decode()
            whole = (time.perf_counter() - began) * 1000
            timing = re.search(r"(?im)^server-timing: (.+?)\r?$", head)
            took = {name: float(ms) for name, ms in re.findall(r"(\w+);dur=([\d.]+)", timing[1] if timing else "")}
            total = took.pop("total")
            took |= {"the rest of the service": total - sum(took.values()), "server, kernel and client": whole - total}
            for name, ms in took.items():
                times.setdefault(name, []).append(ms)
        steps[what] = {name: median(values) for name, values in times.items()}
    return steps


def _promises_alone(alone: dict[str, dict[str, Spread]]) -> list[Promise]:
    promises = [
        Promise(
            f"predict at one client, {what}, times the bare loop",
            times[OURS].median / times["bare loop"].median,
            1.5,
            most=True,
        )
        for what, times in alone.items()
    ]
    large = alone["12 MP"]
    ratio = large[OURS].median / large[USUAL].median
    return [*promises, Promise("12 MP photo, of the usual way's time", ratio, 0.4, most=True)]


def _full(requests: dict[str, bytes], running: dict[str, Running], turns: int, seconds: float) -> dict[str, Full]:
    """What each can do, in turns."""
    full = {name: Full([], [], []) for name in running}
    for _ in range(max(1, turns)):
        for name, (port, pid) in running.items():
            before = cpu_s(pid)
            load = closed_loop(port, [requests[name]], CLIENTS, 1_000_000, seconds)
            full[name].rates.append(load.throughput)
            full[name].cpu_ms.append((cpu_s(pid) - before) / max(1, len(load.times)) * 1000)
            full[name].errors.append(load.errors)
    return full


def _rising(
    requests: dict[str, bytes],
    running: dict[str, Running],
    full: dict[str, Full],
    steps: tuple[float, ...],
    seconds: float,
) -> list[list[object]]:
    """Rows of the table: what shares of what each can do make of its answers.

    Each gets its rate in slices, in turns, and the median of their percentiles counts: what else the machine does for a
    moment spoils one slice.
    """
    rows: list[list[object]] = []
    for step in steps:
        loads: dict[str, list[Load]] = {name: [] for name in running}
        for _ in range(SLICES):
            for name, (port, _) in running.items():
                loads[name].append(open_loop(port, requests[name], full[name].most * step, seconds / SLICES))
        for name, each in loads.items():
            spots = [median(percentile(load.times, percent) for load in each) for percent in (50, 95, 99)]
            errors = sum(load.errors for load in each)
            rows.append([name, f"{step:.0%}", f"{full[name].most * step:.1f}", *(f"{ms:.1f}" for ms in spots), errors])
    return rows


def _row(what: str, name: str, full: Full, memory: str) -> list[object]:
    return [what, name, spread(full.rates), sum(full.errors), f"{median(full.cpu_ms):.1f}", memory]
