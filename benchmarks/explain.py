"""What an explanation costs beside the diagnosis alone.

Serves everything in one process and asks /predict and /explain for the same photo in turns, one request at a time;
prints the ratio of the medians for each photo.

Usage: python benchmarks/explain.py [--rounds 100] [PHOTO ...]
"""

import argparse
import statistics
import sys
import time
from pathlib import Path

import httpx
from serving import served

ROOT = Path(__file__).parent.parent
PHOTOS = [ROOT / "tests/photos/apple-cedar-rust-3.jpg"]
QUESTIONS = {
    "predict": "/predict",
    "explain": "/explain",
    "predict?explain=true": "/predict?explain=true",
    "explain?format=heatmap": "/explain?format=heatmap",
    "explain?format=png": "/explain?format=png",
    "explain?faithfulness=true": "/explain?faithfulness=true",
}
LIMITED = ("explain", "predict?explain=true")
LIMIT = 1.3
"""Those may cost this many times a prediction."""


def seconds(client: httpx.Client, path: str, photo: bytes) -> float:
    """Seconds from the question to the whole answer."""
    start = time.perf_counter()
    client.post(path, content=photo, headers={"content-type": "image/jpeg"}).raise_for_status()
    return time.perf_counter() - start


def measured(client: httpx.Client, photo: Path, rounds: int) -> float:
    """Print one line for each question; the worst of the ratios that are limited."""
    data = photo.read_bytes()
    times: dict[str, list[float]] = {name: [] for name in QUESTIONS}
    for number in range(rounds + 3):
        for name, path in QUESTIONS.items():
            taken = seconds(client, path, data)
            if number >= 3:  # the first ones load the model and fill the caches
                times[name].append(taken)
    medians = {name: statistics.median(values) for name, values in times.items()}
    print(f"{photo.name}, {len(data):,} bytes")
    for name, median in medians.items():
        print(f"  {name:26} {median * 1000:7.1f} ms  x {median / medians['predict']:.2f}")
    return max(medians[name] for name in LIMITED) / medians["predict"]


def main() -> int:
    """Measure and report; the exit code is 1 if an explanation is over the limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("photos", nargs="*", type=Path, default=PHOTOS)
    arguments = parser.parse_args()
    with served() as service:
        worst = max(measured(service.client, photo, arguments.rounds) for photo in arguments.photos)
    print(f"limit of {' and '.join(LIMITED)}: x {LIMIT}")
    return int(worst > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
