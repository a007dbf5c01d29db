"""From the start of a process to its first diagnosis, in fresh processes, beside the usual way."""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measure import Promise, Spread, spread, table
from request import LEAF, OURS, USUAL
from services import ROOT, Service, first_answer, ours, post, started, usual

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


def run(*, quick: bool) -> tuple[str, list[Promise], dict[str, object]]:
    """The Markdown of this part, its promises, and its figures."""
    starts = 3 if quick else 20
    requests = {
        OURS: post(LEAF),
        "batch": post(LEAF, "/batch", "images"),
        "explain": post(LEAF, "/explain"),
        USUAL: post(LEAF),
    }
    with tempfile.TemporaryDirectory() as folder:
        services = {name: ours(name) for name in (OURS, "batch", "explain")} | {USUAL: usual(Path(folder))}
        times: dict[str, list[float]] = {name: [] for name in services}
        for number in range(starts + 1):
            for name, service in services.items():
                taken = seconds(service, requests[name])
                if number:  # the first finds nothing in the file cache
                    times[name].append(taken)
    medians = {name: spread(each) for name, each in times.items()}
    ratio = medians[OURS].median / medians[USUAL].median
    rows = [[name, each, f"{each.median / medians[USUAL].median:.2f}"] for name, each in medians.items()]
    text = (
        f"{starts} fresh starts of each, in turns, the files in the page cache.\n\n"
        + table(["service", "seconds (quartiles)", "of the usual way"], rows)
        + "\n\n"
        + table(["step of predict", "ms (quartiles)"], [list(each) for each in split(starts)])
    )
    promise = Promise("Cold start of predict, of the usual way's time", ratio, 1 / 3, most=True)
    return text, [promise], {"seconds": times}
