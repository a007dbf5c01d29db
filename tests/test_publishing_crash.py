"""`models publish` killed at random moments, and raced by a second one, while a reader looks: never half a version.

The publishers are processes that run the command's own `main`. They are forked from one that has imported everything
already, because half a second of imports for each would be most of the time of these tests; all that they do, from
the arguments on, they do by themselves, and SIGKILL ends them as it ends any process.
"""

import multiprocessing
import os
import random
import secrets
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest
import requests

from plant_disease.bundle import open_version
from plant_disease.cli import main
from plant_disease.errors import NotFound
from plant_disease.publishing import CLAIM_FILE
from plant_disease.storage import Store, open_store
from tests.bundles import write_bundle
from tests.servers import REGION

TIMES = 50
MODEL_BYTES, WEIGHTS_BYTES = 1_500_000, 1_000_000

_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload([__name__, "plant_disease.storage.s3", "plant_disease.storage.gcs"])


def _publish(folder: str, uri: str, environment: dict[str, str], errors: str, ready: Event, go: Event) -> None:
    os.environ.clear()
    os.environ.update(environment)
    sys.stdout = sys.stderr = Path(errors).open("w")  # noqa: SIM115
    os.dup2(sys.stderr.fileno(), 1)
    os.dup2(sys.stderr.fileno(), 2)
    sys.argv = ["plant-disease", "models", "publish", folder, "--model-uri", uri]
    ready.set()
    go.wait()
    main()


class Publisher:
    """`plant-disease models publish` in a process of its own, waiting for `go`."""

    def __init__(self, folder: Path, uri: str, go: Event) -> None:
        self._errors = folder.parent / f"{secrets.token_hex(4)}.log"
        ready = _forks.Event()
        arguments = (str(folder), uri, dict(os.environ), str(self._errors), ready, go)
        self._process: ForkServerProcess = _forks.Process(target=_publish, args=arguments, daemon=True)
        self._process.start()
        assert ready.wait(60)

    @property
    def is_alive(self) -> bool:
        """Whether it still runs."""
        return self._process.is_alive()

    def kill(self) -> None:
        """As by the operating system."""
        self._process.kill()
        self._process.join()

    def code(self) -> int | None:
        """The exit code; waits for the end."""
        self._process.join(60)
        return self._process.exitcode

    def errors(self) -> str:
        """What it wrote."""
        return self._errors.read_text()


@dataclass
class Seen:
    """What a reader saw of one version: how often it was not there, and how often whole; and each manifest."""

    absent: int
    whole: int
    manifests: set[str]


class Reader(threading.Thread):
    """Opens a version again and again, and fetches and verifies all its files anew each time."""

    def __init__(self, uri: str, version: str) -> None:
        super().__init__()
        self._store, self._version = open_store(uri), version
        self._ends = threading.Event()
        self._failure: BaseException | None = None
        self.seen = Seen(0, 0, set())
        self.start()

    def run(self) -> None:
        try:
            while not self._ends.is_set():
                sha256 = read_whole(self._store, self._version)
                if sha256:
                    self.seen.whole += 1
                    self.seen.manifests.add(sha256)
                else:
                    assert not self.seen.whole, "it was there, and is gone"
                    self.seen.absent += 1
                    time.sleep(0.001)
        except BaseException as error:
            self._failure = error

    def stop(self) -> Seen:
        """End it; raises what it came across."""
        self._ends.set()
        self.join()
        if self._failure:
            raise self._failure
        assert len(self.seen.manifests) <= 1, "a version changed"
        return self.seen


def read_whole(store: Store, version: str) -> str | None:
    """The sha256 of a version's manifest after every file was fetched and verified; None if there is no version."""
    with tempfile.TemporaryDirectory() as cache:
        try:
            bundle = open_version(store, version, cache=Path(cache))
        except NotFound:
            return None
        for name in bundle.manifest.files:
            bundle.fetch(name)
        return bundle.sha256


@pytest.fixture(params=["local", "s3", "gs"])
def uri(
    request: pytest.FixtureRequest, tmp_path: Path, aws_environment: pytest.MonkeyPatch, moto_url: str, gcs_url: str
) -> str:
    bucket = f"models-{secrets.token_hex(6)}"
    if request.param == "s3":
        location = f"<LocationConstraint>{REGION}</LocationConstraint>"
        data = f"<CreateBucketConfiguration>{location}</CreateBucketConfiguration>"
        requests.put(f"{moto_url}/{bucket}", data=data, timeout=5).raise_for_status()
    elif request.param == "gs":
        requests.post(f"{gcs_url}/storage/v1/b", json={"name": bucket}, timeout=5).raise_for_status()
    aws_environment.setenv("AWS_ENDPOINT_URL_S3", moto_url)
    aws_environment.setenv("STORAGE_EMULATOR_HOST", gcs_url)
    return str(tmp_path / "store") if request.param == "local" else f"{request.param}://{bucket}/models"


def write_version(tmp_path: Path, owner: str, version: str) -> Path:
    """A version with a model card; its content is that of the owner."""
    rng = random.Random(f"{owner} {version}")
    files = {"model.onnx": rng.randbytes(MODEL_BYTES), "weights.safetensors": rng.randbytes(WEIGHTS_BYTES)}
    folder = write_bundle(tmp_path / owner, version, files)
    (folder / "MODEL_CARD.md").write_text(owner)
    return folder


def entries(store: Store) -> list[str]:
    try:
        return [entry.name for entry in store.list()]
    except NotFound:
        return []


def stage(store: Store, version: str) -> str:
    """How far a publisher came."""
    names = {name.removeprefix(f"{version}/") for name in entries(store) if name.startswith(f"{version}/")}
    if "manifest.json" in names:
        return "published"
    return f"{len(names - {CLAIM_FILE})} files" if CLAIM_FILE in names else "nothing"


def test_killed_at_random_moments(uri: str, tmp_path: Path) -> None:
    rng, stages, refused, looks = random.Random(0), Counter[str](), 0, 0
    store, latest = open_store(uri), 0.3
    for number in range(TIMES):
        version = f"1.0.{number}"
        first = write_version(tmp_path, "first", version)
        go = _forks.Event()
        publisher, reader = Publisher(first, uri, go), Reader(uri, version)
        go.set()
        by_the_clock = number % 2 == 0
        if by_the_clock:
            time.sleep(latest * rng.uniform(0.8, 1))
        else:
            # Whatever the machine does meanwhile: something is there, and most of it is not.
            while stage(store, version) == "nothing" and publisher.is_alive:
                pass
        publisher.kill()
        assert publisher.code() in (-signal.SIGKILL, 0), publisher.errors()
        reached = stage(store, version)
        stages[reached] += 1
        if by_the_clock:
            # Too early or too late says how fast this machine is now: most moments shall be in the midst of the writes.
            latest *= {"nothing": 1.2, "published": 0.9}.get(reached, 1.0)
        in_the_midst = reached not in ("nothing", "published")
        if in_the_midst and number % 3 == 0:
            # Somebody with other content comes upon the remains.
            other = Publisher(write_version(tmp_path, "second", version), uri, go)
            assert other.code() == 1, other.errors()
            refused += 1
        if in_the_midst:
            again = Publisher(first, uri, go)
            assert again.code() == 0, again.errors()
        seen = reader.stop()
        assert bool(read_whole(store, version)) == (reached != "nothing")
        looks += seen.absent + seen.whole
        shutil.rmtree(first)
    print(f"{uri}: killed with {dict(sorted(stages.items()))} written; {refused} others refused; {looks} looks")
    assert TIMES - stages["published"] - stages["nothing"] >= 3, "hardly any was killed in the midst"


def test_two_publishers_race(uri: str, tmp_path: Path) -> None:
    store, won, looks = open_store(uri), Counter[str](), 0
    for number in range(TIMES):
        version = f"1.0.{number}"
        go = _forks.Event()
        publishers = {
            owner: Publisher(write_version(tmp_path, owner, version), uri, go) for owner in ("first", "second")
        }
        reader = Reader(uri, version)
        go.set()
        codes = {owner: publisher.code() for owner, publisher in publishers.items()}
        seen = reader.stop()
        assert sorted(codes.values()) == [0, 1], {owner: each.errors() for owner, each in publishers.items()}
        (winner,) = [owner for owner, code in codes.items() if code == 0]
        (loser,) = [owner for owner, code in codes.items() if code == 1]
        assert "with other content" in publishers[loser].errors()
        manifest = (tmp_path / winner / version / "manifest.json").read_bytes()
        assert store.read(f"{version}/manifest.json").data == manifest
        assert store.read(f"{version}/MODEL_CARD.md").data == winner.encode()
        assert read_whole(store, version)
        won[winner] += 1
        looks += seen.absent + seen.whole
    print(f"{uri}: won by {dict(won)}; {looks} looks")
