"""From the start of a process to its first diagnosis, in fresh processes, beside the usual way."""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from measure import Promise, Spread, spread, table
from request import LEAF, OURS, USUAL
from services import ROOT, Service, cpu_quota, first_answer, on_one_cpu, ours, post, started, usual

SPLIT = """
import json, sys, time
marks = [time.perf_counter()]
def mark(): marks.append(time.perf_counter())
import functions.predict.main; mark()
from plant_disease.bundle import open_bundle
from plant_disease.manifest import ONNX_INT8_FILE
from plant_disease.settings import bundled_models
bundle = open_bundle(bundled_models()); bundle.fetch(ONNX_INT8_FILE); mark()
import onnxruntime; mark()
from plant_disease.runtimes import open_runtime
runtime = open_runtime("onnx", bundle, threads=1); mark()
from plant_disease import images
runtime.run(images.load(open(sys.argv[1], "rb").read(), bundle.manifest.input.size).pixels[None]); mark()
print(json.dumps([(b - a) * 1000 for a, b in zip(marks, marks[1:])]))
"""
PARTS = ("import the function", "fetch and check the model", "import onnxruntime", "session", "first photo")
LIMIT_S = 240
"""Seconds for all starts with the same CPUs: twenty of each take half of it."""


def seconds(service: Service, request: bytes) -> float:
    began = time.perf_counter()
    with started(service) as running:
        first_answer(running, request)
        return time.perf_counter() - began


def split(starts: int) -> list[tuple[str, Spread]]:
    """Where the time goes, ms, one step after another; the service itself lays some over each other."""
    photo = str(ROOT / "tests/photos/apple-cedar-rust-3.jpg")
    command = [sys.executable, "-c", SPLIT, photo]
    runs = [
        json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout)
        for _ in range(starts)
    ]
    return [(part, spread([run[i] for run in runs])) for i, part in enumerate(PARTS)]


def in_turns(services: Mapping[str, Callable[[], float]], starts: int) -> dict[str, list[float]]:
    """Seconds that each start of each service says it took; fewer starts if they would take longer than the limit."""
    times: dict[str, list[float]] = {name: [] for name in services}
    until = time.perf_counter() + LIMIT_S
    for number in range(starts + 1):
        if number > 1 and time.perf_counter() > until:
            break
        for name, start in services.items():
            taken = start()
            if number:  # the first finds nothing in the file cache
                times[name].append(taken)
    return times


def run(*, quick: bool) -> tuple[str, list[Promise], dict[str, object]]:
    """The Markdown of this part, its promises, and its figures."""
    requests = {
        OURS: post(LEAF),
        "batch": post(LEAF, "/batch", "images"),
        "explain": post(LEAF, "/explain"),
        USUAL: post(LEAF),
    }
    starts = 1 if quick else 20
    times: dict[str, dict[str, list[float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        services = {name: ours(name) for name in (OURS, "batch", "explain")} | {USUAL: usual(Path(folder))}

        def timed(placed: Callable[[Service], Service]) -> dict[str, list[float]]:
            calls = {name: partial(seconds, placed(each), requests[name]) for name, each in services.items()}
            return in_turns(calls, starts)

        times["all CPUs"] = timed(lambda service: service)
        times["1 CPU"] = timed(on_one_cpu)
        with cpu_quota(0.5) as limited:
            if limited:
                times["half a CPU"] = timed(limited)
    rows: list[list[object]] = []
    for cpus, each in times.items():
        base = spread(each[USUAL]).median
        rows += [
            [cpus, name, len(taken), spread(taken), f"{spread(taken).median / base:.2f}"]
            for name, taken in each.items()
        ]
    if "half a CPU" not in times:
        rows.append(["half a CPU", OURS, "-", "not measured: no control group can be made here", "-"])
    ratio = spread(times["all CPUs"][OURS]).median / spread(times["all CPUs"][USUAL]).median
    text = (
        "Fresh starts in turns, the files in the page cache.\n\n"
        + table(["CPUs", "service", "starts", "seconds (quartiles)", "of the usual way"], rows)
        + "\n\n"
        + table(["step of predict", "ms (quartiles)"], [list(each) for each in split(3 if quick else 10)])
    )
    promise = Promise("Cold start of predict, of the usual way's time", ratio, 1 / 3, most=True)
    return text, [promise], {"seconds": times}
