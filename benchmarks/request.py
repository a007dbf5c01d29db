"""A request end to end, over a real socket: beside a bare loop, beside the peers, and under load until it is full."""

import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from statistics import median

from load import closed_loop, open_loop
from measure import Promise, in_turns, percentile, spread, table
from services import PEERS, ROOT, Service, cpu_s, ours, peak_mb, peers, post, ready, resident_mb, usual

from plant_disease import images
from plant_disease.bundle import open_bundle
from plant_disease.runtimes import open_runtime
from plant_disease.settings import bundled_models

LEAF = (ROOT / "tests/photos/apple-cedar-rust-3.jpg").read_bytes()
PHONE = (ROOT / "tests/photos/phone-12mp.jpg").read_bytes()
CLIENTS = 8
"""Enough to keep two CPUs busy; more only wait."""
STEPS = (0.25, 0.5, 0.75, 0.9, 1.1)
OURS, USUAL = "predict", "the usual way"


def bare_loop() -> Callable[[bytes], object]:
    """Decode and forward of a photo, and nothing else."""
    bundle = open_bundle(bundled_models())
    runtime = open_runtime("onnx", bundle, threads=2)
    return lambda photo: runtime.run(images.load(photo, bundle.manifest.input.size).pixels[None])


def run(*, quick: bool) -> tuple[str, list[Promise], dict[str, object]]:
    """The Markdown of this part, its promises, and its figures."""
    count, seconds, turns = (200, 3, 2) if quick else (1500, 10, 5)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        services: dict[str, Service] = {OURS: ours(), USUAL: usual(Path(folder))}
        if PEERS.exists():
            services |= peers()
        # All of them run all the time, idle but for the one that is asked.
        running = {name: stack.enter_context(ready(each, post(LEAF))) for name, each in services.items()}
        alone, promises, figures = _alone({name: each.port for name, each in running.items()}, 20 if quick else 100)
        full: dict[str, list[float]] = {name: [] for name in running}
        cpu: dict[str, list[float]] = {name: [] for name in running}
        errors = dict.fromkeys(running, 0)
        for _ in range(turns):
            for name, (port, pid) in running.items():
                before = cpu_s(pid)
                load = closed_loop(port, [post(LEAF)], CLIENTS, count // turns)
                full[name].append(load.throughput)
                errors[name] += load.errors
                cpu[name].append((cpu_s(pid) - before) / max(1, len(load.times)) * 1000)
        rows = [
            [name, spread(full[name]), errors[name], f"{median(cpu[name]):.1f}", f"{resident_mb(pid):.0f}"]
            for name, (_, pid) in running.items()
        ]
        most = {name: median(rates) for name, rates in full.items()}
        promises.append(
            Promise("Throughput at saturation, times the usual way", most[OURS] / most[USUAL], 3, most=False)
        )
        promises += [
            Promise(f"Throughput at saturation, times {name}", most[OURS] / most[name], 1, most=False)
            for name in most
            if name not in (OURS, USUAL)
        ]
        steps = [(step, name) for step in STEPS for name in running]
        rising = []
        for step, name in steps:
            load = open_loop(running[name].port, post(LEAF), most[name] * step, seconds)
            p50, p95, p99 = (percentile(load.times, percent) for percent in (50, 95, 99))
            rising.append([name, f"{step:.0%}", *(f"{x:.1f}" for x in (most[name] * step, p50, p95, p99)), load.errors])
            if name == OURS and step == 0.5:
                promises.append(Promise("p99 at half load, times p50", p99 / p50, 3, most=True))
        peak = peak_mb(running[OURS].pid)
        promises.append(Promise("Resident memory of predict under load, MB", peak, 300, most=True))
    text = (
        f"### One client\n\n{alone}\n\n### Full: {CLIENTS} clients at once\n\n"
        + table(["service", "answers/s", "errors", "CPU ms/answer", "MB"], rows)
        + "\n\n### Rising rates, of what each can do\n\n"
        + table(["service", "load", "requests/s", "p50 ms", "p95", "p99", "errors"], rising)
    )
    return text, promises, {**figures, "full": full, "rising": rising}


def _alone(ports: dict[str, int], rounds: int) -> tuple[str, list[Promise], dict[str, object]]:
    bare = bare_loop()
    rows = []
    promises = []
    figures: dict[str, object] = {}
    for what, photo in (("256 px", LEAF), ("12 MP", PHONE)):
        calls: dict[str, Callable[[], object]] = {"bare loop": partial(bare, photo)}
        calls |= {name: partial(closed_loop, port, [post(photo)], 1, 1) for name, port in ports.items()}
        times = in_turns(calls, rounds)
        rows += [[what, name, each, f"{each.median / times['bare loop'].median:.2f}"] for name, each in times.items()]
        figures[what] = {name: each.median for name, each in times.items()}
        to_bare = times[OURS].median / times["bare loop"].median
        promises.append(Promise(f"predict at one client, {what}, times the bare loop", to_bare, 1.5, most=True))
        if photo is PHONE:
            promises.append(
                Promise(
                    "12 MP photo, of the usual way's time", times[OURS].median / times[USUAL].median, 0.4, most=True
                )
            )
    return table(["photo", "service", "ms (quartiles)", "x bare loop"], rows), promises, figures
