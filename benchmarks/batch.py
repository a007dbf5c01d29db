"""What a batch saves: photos a second in one request of 64, beside 64 requests to /predict one after another.

The two take turns, with each size of the chunks that go through the network at once; the ratio is that of the medians.
Then a batch of 64 photos of 12 megapixels: how much memory the service takes at most.

Usage: python benchmarks/batch.py [--rounds 9] [--chunks 1 2 4 8] [PHOTO ...]
"""

import argparse
import itertools
import statistics
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path

import httpx
from serving import Served, served

ROOT = Path(__file__).parent.parent
PHOTOS = [ROOT / f"tests/photos/apple-cedar-rust-{number}.jpg" for number in (1, 2, 3)]
LARGE = ROOT / "tests/photos/phone-12mp.jpg"
MANY = 64
LIMIT = 1.5
"""A batch must give this many times the photos a second."""

MOST_MEMORY_MB = 600


def singles(client: httpx.Client, photos: Sequence[bytes]) -> None:
    for photo in photos:
        client.post("/predict", content=photo, headers={"content-type": "image/jpeg"}).raise_for_status()


def batch(client: httpx.Client, photos: Sequence[bytes]) -> None:
    files = [("images", (f"{index}.jpg", photo)) for index, photo in enumerate(photos)]
    answer = client.post("/batch", files=files).raise_for_status()
    assert answer.json()["summary"]["succeeded"] == len(photos)


def per_second(
    ask: Callable[[httpx.Client, Sequence[bytes]], None], client: httpx.Client, photos: list[bytes]
) -> float:
    start = time.perf_counter()
    ask(client, photos)
    return len(photos) / (time.perf_counter() - start)


def gain(service: Served, photos: list[bytes], rounds: int, label: str) -> float:
    """Print a line; how many times the photos a second a batch gives."""
    one, many = [], []
    for number in range(rounds + 1):
        rates = per_second(singles, service.client, photos), per_second(batch, service.client, photos)
        if number:  # the first round fills the caches
            one.append(rates[0])
            many.append(rates[1])
    ratio = statistics.median(many) / statistics.median(one)
    print(f"  {label:14} {statistics.median(one):6.0f}/s single {statistics.median(many):6.0f}/s batch  x {ratio:.2f}")
    return ratio


def megabytes(pid: int, field: str) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) / 1024
    raise ValueError(field)


def memory_of_large(service: Served, photo: bytes) -> float:
    """Print a line; the most resident memory (MB) while a ZIP of 64 of these photos is diagnosed."""
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for index in range(MANY):
            archive.writestr(f"{index}.jpg", photo)
    before = megabytes(service.pid, "VmRSS")
    peak = [before]
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.01):
            peak.append(megabytes(service.pid, "VmRSS"))

    watcher = threading.Thread(target=watch)
    watcher.start()
    answer = service.client.post("/batch", content=packed.getvalue(), headers={"content-type": "application/zip"})
    over.set()
    watcher.join()
    assert answer.raise_for_status().json()["summary"]["succeeded"] == MANY
    print(
        f"{MANY} photos of 12 MP, {len(packed.getvalue()):,} bytes: {before:.0f} MB before, {max(peak):.0f} MB at most"
    )
    return max(peak)


def main() -> int:
    """Measure and report; the exit code is 1 if a limit does not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--chunks", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("photos", nargs="*", type=Path, default=PHOTOS)
    arguments = parser.parse_args()
    photos = list(itertools.islice(itertools.cycle([path.read_bytes() for path in arguments.photos]), MANY))
    print(f"{MANY} photos, {sum(map(len, photos)):,} bytes")
    with served() as service:
        ratio = gain(service, photos, arguments.rounds, "as set")
        peak = memory_of_large(service, LARGE.read_bytes())
    for chunk in arguments.chunks:
        with served(PLANT_BATCH_CHUNK=str(chunk)) as service:
            gain(service, photos, arguments.rounds, f"chunks of {chunk}")
    print(f"limits: x {LIMIT}, {MOST_MEMORY_MB} MB")
    return int(ratio < LIMIT or peak > MOST_MEMORY_MB)


if __name__ == "__main__":
    sys.exit(main())
