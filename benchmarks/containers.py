"""From `docker run` to the first diagnosis, at one CPU and at half of one, beside the same service built the usual way.

Needs a Docker engine and `make images`. Builds benchmarks/usual the first time.

Usage: python benchmarks/containers.py [STARTS]
"""

import os
import shlex
import subprocess
import sys
import time
import uuid
from functools import partial

from cold_start import in_turns
from measure import machine, spread, table
from request import LEAF, OURS, USUAL
from services import ROOT, Running, first_answer, post

PORT = 18080
CPUS = (1, 0.5)
IMAGES = {OURS: "plant-disease/predict", "batch": "plant-disease/batch", "explain": "plant-disease/explain"}
USUAL_IMAGE = "plant-disease-usual"
REQUESTS = {"batch": post(LEAF, "/batch", "images"), "explain": post(LEAF, "/explain")}
COMMANDS = {USUAL: ("uvicorn", "app:app", "--host", "127.0.0.1", "--port", str(PORT))}
MOST = 1 / 3


def docker(*arguments: str) -> str:
    return subprocess.run(["docker", *arguments], check=True, capture_output=True, text=True).stdout.strip()


def seconds(service: str, image: str, cpus: float) -> float:
    """From `docker run` to the first answer."""
    name = f"benchmark-{uuid.uuid4().hex[:8]}"
    options = ("--network", "host", "--cpus", str(cpus), "--env", f"PORT={PORT}", "--env", "PLANT_AUTH=off")
    began = time.perf_counter()
    docker("run", "--detach", "--name", name, *options, image, *COMMANDS.get(service, ()))
    try:
        first_answer(Running(PORT, 0), REQUESTS.get(service, post(LEAF)))
        return time.perf_counter() - began
    finally:
        docker("rm", "--force", name)


def main() -> None:
    starts = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    described = machine()
    extra = shlex.split(os.environ.get("DOCKER_BUILD_ARGS", ""))
    docker("build", *extra, "-t", USUAL_IMAGE, str(ROOT / "benchmarks/usual"))
    images = {**IMAGES, USUAL: USUAL_IMAGE}
    rows: list[list[object]] = []
    ratios = []
    for cpus in CPUS:
        times = in_turns({name: partial(seconds, name, image, cpus) for name, image in images.items()}, starts)
        base = spread(times[USUAL]).median
        for service, taken_s in times.items():
            size_mb = int(docker("inspect", "--format", "{{.Size}}", images[service])) / 1e6
            each = spread(taken_s)
            rows.append([cpus, service, len(taken_s), each, f"{each.median / base:.2f}", f"{size_mb:.0f}"])
        ratios.append(spread(times[OURS]).median / base)
    print(table(["CPUs", "service", "starts", "seconds (quartiles)", "of the usual way", "image, MB"], rows))
    print(described)
    if max(ratios) > MOST:
        sys.exit(f"predict takes {max(ratios):.2f} of the usual way's time: more than {MOST:.2f}")


if __name__ == "__main__":
    main()
