"""What it costs a request to be authenticated, limited and billed.

Two services in turns, one request at a time: open (PLANT_AUTH=off), and one that asks for a key, counts in memory
against a rate and a quota, and writes usage events. The difference of the medians may be 1 ms at most.

Usage: python benchmarks/metering.py [--rounds 400]
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
from serving import served

ROOT = Path(__file__).parent.parent
PHOTO = ROOT / "tests/photos/apple-cedar-rust-3.jpg"
COMMAND = Path(sys.executable).parent / "plant-disease"
LIMIT_MS = 1.0


def milliseconds(client: httpx.Client, photo: bytes, headers: dict[str, str]) -> float:
    """Milliseconds from the question to the whole answer."""
    start = time.perf_counter()
    client.post("/predict", content=photo, headers={"content-type": "image/jpeg", **headers}).raise_for_status()
    return (time.perf_counter() - start) * 1000


def new_key(document: Path) -> str:
    """A key with a rate and a quota that are never reached."""
    command = [COMMAND, "keys"]
    where = ["--keys-uri", document]
    plan = ["plan", "bench", "--rate", "predict=1000000/minute", "--quota", "100000000/month"]
    subprocess.run([*command, *plan, *where], check=True, stdout=subprocess.DEVNULL)
    created = subprocess.run(
        [*command, "create", "bench", "--plan", "bench", "--scope", "predict", "--json", *where],
        check=True,
        capture_output=True,
    )
    key: str = json.loads(created.stdout)["key"]
    return key


def main() -> int:
    """Measure and report; the exit code is 1 if it costs more than the limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=400)
    rounds = parser.parse_args().rounds
    photo = PHOTO.read_bytes()
    with tempfile.TemporaryDirectory() as folder:
        document = Path(folder) / "keys.json"
        key = {"x-api-key": new_key(document)}
        metered = {
            "PLANT_AUTH": "required",
            "PLANT_API_KEYS_URI": str(document),
            "PLANT_USAGE_URI": str(Path(folder) / "usage"),
        }
        times: dict[str, list[float]] = {"open": [], "metered": []}
        with served(PLANT_AUTH="off") as free, served(**metered) as paid:
            for number in range(rounds + 5):
                pair = milliseconds(free.client, photo, {}), milliseconds(paid.client, photo, key)
                if number >= 5:  # the first ones fill the caches
                    for name, taken in zip(times, pair, strict=True):
                        times[name].append(taken)
    medians = {name: statistics.median(values) for name, values in times.items()}
    cost = medians["metered"] - medians["open"]
    for name, median in medians.items():
        print(f"  {name:8} {median:6.2f} ms")
    print(f"a key, limits and billing cost {cost:.2f} ms (p50 of {rounds}); limit: {LIMIT_MS} ms")
    return int(cost > LIMIT_MS)


if __name__ == "__main__":
    sys.exit(main())
