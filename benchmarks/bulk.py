"""`plant-disease bulk` on a cluster of three nodes that are all on this machine, beside a bare loop of the core.

1. A bare loop over some photos in one process with one thread, and the same photos by one worker and by two, in turns:
   how much the cluster costs, and what the second worker gives. CPU is that of the processes that diagnose.
2. Many photos, the run killed in its first third and begun again, one node killed in the second: nothing may be
   missing, nothing there twice, and nothing done again that was done.

Usage: python benchmarks/bulk.py PHOTOS [--photos 10000] [--sample 2000] [--rounds 3]
"""

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet
from measure import machine
from ray.cluster_utils import Cluster

from plant_disease import images
from plant_disease.bundle import open_bundle
from plant_disease.classifier import Classifier
from plant_disease.runtimes import open_runtime
from plant_disease.settings import Settings

COMMAND = str(Path(sys.executable).parent / "plant-disease")
MOST_OVERHEAD = 0.25
NODES = 3


def filled(folder: Path, photos: Sequence[Path], many: int) -> Path:
    """A folder with so many photos, each name once; where there are fewer, some come again under other names."""
    folder.mkdir()
    for number in range(many):
        shutil.copy(photos[number % len(photos)], folder / f"{number:06}.jpg")
    return folder


class Run(NamedTuple):
    """How long some photos took.

    Attributes:
        whole: seconds, with the start.
        steady: seconds from the first shard that was done to the last, and as much for the first as for the others.
        cpu: seconds of the processes that diagnose, in the same time.
    """

    whole: float
    steady: float
    cpu: float


def loop(folder: Path) -> Run:
    """Read, decode, diagnose, one photo after the other, with one thread."""
    start = time.perf_counter()
    settings = Settings()
    bundle = open_bundle(settings.model_uri)
    classifier = Classifier(bundle, open_runtime("onnx", bundle, threads=1))
    ready, cpu = time.perf_counter(), time.process_time()
    for path in sorted(folder.iterdir()):
        classifier.diagnose([images.load(path.read_bytes(), bundle.manifest.input.size)])
    end = time.perf_counter()
    return Run(end - start, end - ready, time.process_time() - cpu)


def command(folder: Path, output: Path, address: str, workers: int, shard: int) -> list[str]:
    options = {"--ray-address": address, "--workers": workers, "--shard-size": shard}
    words = [str(word) for option in options.items() for word in option]
    return [COMMAND, "bulk", str(folder), str(output), "--json", *words]


def cpu_of_workers() -> dict[str, float]:
    """CPU seconds of each worker that there is."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cmdline").read_bytes().startswith(b"ray::MapWorker"):
                user, system = (process / "stat").read_text().rsplit(")", 1)[1].split()[11:13]
                found[process.name] = (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
        except OSError:
            continue
    return found


def bulk(folder: Path, output: Path, address: str, workers: int, shard: int) -> Run:
    start = time.perf_counter()
    process = subprocess.Popen(
        command(folder, output, address, workers, shard), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    cpu: dict[str, float] = {}
    before, done = 0.0, 0
    while process.poll() is None:
        if not done and (done := len(list(output.glob("shards/*.json")))):
            before = sum(cpu.values())
        cpu |= cpu_of_workers()
        time.sleep(0.1)
    whole = time.perf_counter() - start
    if process.returncode:
        raise RuntimeError(f"exit code {process.returncode}")
    times = sorted(path.stat().st_mtime for path in output.glob("shards/*.json"))
    shutil.rmtree(output)
    steady = (times[-1] - times[0]) * len(times) / (len(times) - 1)
    return Run(whole, steady, (sum(cpu.values()) - before) * len(times) / (len(times) - done))


def speed(folder: Path, address: str, rounds: int) -> bool:
    """Print what the cluster costs and what the second worker gives; whether the overhead is within its limit."""
    many = len(list(folder.iterdir()))
    out, shard = folder.with_name("out"), max(1, many // 20)
    ways: dict[str, Callable[[], Run]] = {
        "a loop of the core": lambda: loop(folder),
        "one worker": lambda: bulk(folder, out, address, 1, shard),
        "two workers": lambda: bulk(folder, out, address, 2, shard),
    }
    runs: dict[str, list[Run]] = {name: [] for name in ways}
    for number in range(rounds):
        for name, way in ways.items():
            runs[name].append(way())
            print(f"  round {number}, {name}: {', '.join(f'{value:.1f}' for value in runs[name][-1])}", flush=True)
    print(f"{many} photos in shards of {shard}, {rounds} rounds, medians")
    medians = {name: Run(*(statistics.median(values) for values in zip(*of, strict=True))) for name, of in runs.items()}
    for name, (whole, steady, cpu) in medians.items():
        print(f"  {name}: {many / steady:.0f} photos/s, {cpu / many * 1000:.1f} ms CPU a photo, {whole:.1f} s in all")
    bare, one, two = medians.values()
    overhead = one.steady / bare.steady - 1
    print(f"  one worker takes {overhead:+.0%} over the loop; at most {MOST_OVERHEAD:+.0%}")
    print(f"  of CPU it takes {one.cpu / bare.cpu - 1:+.0%}")
    print(f"  two workers do x {one.steady / two.steady:.2f} of one")
    return overhead <= MOST_OVERHEAD


def until(process: subprocess.Popen[bytes], output: Path, shards: int) -> None:
    while len(list(output.glob("shards/*.json"))) < shards:
        if process.poll() is not None:
            raise RuntimeError(f"ended before {shards} shards were done")
        time.sleep(0.05)


def survival(folder: Path, cluster: Cluster, many: int) -> bool:
    """Print what became of many photos though the run and a node were killed; whether each is there once."""
    output, shard = folder.with_name("survived"), 100
    arguments = command(folder, output, cluster.address, NODES, shard)
    start = time.perf_counter()
    first = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until(first, output, many // shard // 3)
    first.send_signal(signal.SIGKILL)
    first.wait()
    stopped = time.perf_counter()
    before = {path: path.stat().st_mtime_ns for path in output.glob("shards/*.json")}
    second = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    until(second, output, many // shard * 2 // 3)
    cluster.remove_node(next(iter(cluster.worker_nodes)), allow_graceful=False)
    killed = time.perf_counter()
    out, _ = second.communicate()
    end = time.perf_counter()
    summary = json.loads(out)
    rows: Counter[int] = Counter()
    for folder_ in ("results", "errors"):
        for path in output.glob(f"{folder_}/*.parquet"):
            rows.update(pyarrow.parquet.read_table(path, columns=["index"])["index"].to_pylist())
    missing, twice = set(range(many)) - set(rows), [index for index, count in rows.items() if count > 1]
    again = [path.name for path, modified in before.items() if path.stat().st_mtime_ns != modified]
    print(f"{many} photos in shards of {shard}, {NODES} nodes with a CPU each: {json.dumps(summary)}")
    print(f"  killed after {stopped - start:.0f} s with {len(before)} shards done; begun again")
    print(f"  a node killed {killed - stopped:.0f} s later, done {end - killed:.0f} s after that")
    print(f"  missing: {len(missing)}; twice: {len(twice)}; done again: {len(again)} shards")
    return not missing and not twice and not again and second.returncode == 0


def main() -> int:
    """Measure and report; the exit code is 1 if something does not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="with .jpg in it")
    parser.add_argument("--photos", type=int, default=10_000)
    parser.add_argument("--sample", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    photos = sorted(arguments.folder.rglob("*.jpg"))
    print(machine(), f"{len(photos)} photos in {arguments.folder.name}", sep="\n", flush=True)
    node = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
    cluster = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    for _ in range(NODES - 1):
        cluster.add_node(**node)
    good = True
    with tempfile.TemporaryDirectory() as place:
        try:
            if arguments.sample:
                good &= speed(
                    filled(Path(place) / "sample", photos, arguments.sample), cluster.address, arguments.rounds
                )
            if arguments.photos:
                good &= survival(filled(Path(place) / "many", photos, arguments.photos), cluster, arguments.photos)
        finally:
            cluster.shutdown()
    return int(not good)


if __name__ == "__main__":
    sys.exit(main())
