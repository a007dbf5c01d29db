"""Jobs of thousands of photos through two clouds' emulators, whose workers are killed and whose messages come twice.

    python benchmarks/jobs.py --photos FOLDER            what is there, again and again, until it is --number

Says how long it took, and fails unless every photo is exactly once in the results and the bill is what was done. The
emulators share the machine with the workers, so the figure for speed is a lower bound.
"""

import argparse
import hashlib
import json
import tempfile
import time
from itertools import cycle, islice
from pathlib import Path

from plant_disease import keys
from plant_disease.plans import Plan
from tests.jobs.clouds import Account, Aws, Cloud, Gcp, check, pubsub_emulator
from tests.servers import RedisServer, gcs_url, moto_url


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--photos", type=Path, default=Path("tests/photos"))
    arguments.add_argument("--number", type=int, default=5000)
    arguments.add_argument("--workers", type=int, default=2)
    arguments.add_argument("--kills", type=int, default=20)
    arguments.add_argument("--only", choices=["sqs", "pubsub"])
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder, RedisServer() as redis:
        for name in [options.only] if options.only else ["sqs", "pubsub"]:
            house = Path(folder) / name
            house.mkdir()
            account = Account(house, Plan(quota=f"{10 * options.number}/month"))
            settings = {"PLANT_JOBS_CHUNK": "64", "PLANT_LIMITS_URI": redis.url, **account.settings}
            if name == "sqs":
                for url in moto_url.__wrapped__():
                    with Aws(house, settings, url, "jobs-of-leaves") as cloud:
                        run(name, cloud, account, options)
            else:
                for url in gcs_url.__wrapped__():
                    with pubsub_emulator(house) as at, Gcp(house, settings, url, at, "jobs-of-leaves") as cloud:
                        run(name, cloud, account, options)


def run(name: str, cloud: Cloud, account: Account, options: argparse.Namespace) -> None:
    """One job."""
    found = sorted(path for path in options.photos.rglob("*") if path.suffix in (".jpg", ".png", ".webp"))
    names = {
        f"{number:06}-{hashlib.md5(str(path).encode()).hexdigest()}": path
        for number, path in enumerate(islice(cycle(found), options.number))
    }
    key = account.key()
    owner = hashlib.sha256(f"key:{keys.id_of(key)}".encode()).hexdigest()[:32]
    uris = cloud.upload(owner, [(each, path.read_bytes()) for each, path in names.items()])
    began = time.monotonic()
    # Nobody works yet, so that what is killed is always in the middle of something.
    answer = cloud.ask("POST", "/batch/jobs", key, json={"image_uris": uris}, headers={"Idempotency-Key": name})
    answer.raise_for_status()
    posted = time.monotonic()
    job = answer.json()
    cloud.start_workers(options.workers)
    cloud.disturb(job["id"], len(uris) // 64)
    job = cloud.run(job, key, kills=options.kills, within_s=3600)
    ended = time.monotonic()
    lines = [json.loads(line) for line in cloud.results(job, key).text.splitlines()]
    check(uris, lambda uri: uri.rpartition("-")[2], lines, job, cloud.events())
    (quota,) = cloud.ask("GET", "/usage", key).json()["limits"]
    assert quota["used"] == job["counts"]["succeeded"]
    print(
        f"{name}: {len(uris):,} photos ({len(found):,} different), taken in {posted - began:.1f} s, done in "
        f"{ended - posted:.0f} s ({len(uris) / (ended - posted):.0f} a second) by {options.workers} workers, of which "
        f"{cloud.killed} were killed; succeeded {job['counts']['succeeded']:,}, failed {job['counts']['failed']:,}, "
        f"billed {sum(event.photos for event in cloud.events()):,} in {len(cloud.events())} events",
        flush=True,
    )


if __name__ == "__main__":
    main()
