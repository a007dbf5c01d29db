"""A running service follows its channel: under load, past bad versions, and while the store is away."""

import hashlib
import json
import os
import secrets
import shutil
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import boto3
import httpx
import onnx
import onnx.numpy_helper
import pytest

from plant_disease.bundle import describe_file, open_version
from plant_disease.manifest import Channel
from plant_disease.publishing import open_release, promote, publish, rollback
from plant_disease.service.model import ServedModel
from plant_disease.service.periodic import Periodic
from plant_disease.settings import Settings, bundled_models
from plant_disease.storage import Store, open_store
from tests.functions import processes
from tests.functions.conftest import AWS
from tests.functions.photos import CLASS_ID, leaf
from tests.functions.processes import Process, wait_for
from tests.functions.test_model_trouble import Counter
from tests.servers import REGION, FaultyProxy

REFRESH_S = 0.5
WITHIN_S = 60
"""For the machine that runs the tests; `test_under_load` prints how long it took."""


@dataclass(frozen=True)
class Made:
    """A version in a local folder, and what tells its answers from those of another."""

    folder: Path
    sha256: str
    class_id: str


class Models:
    """Versions of the bundled model, each with its version in the names of its classes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        (manifest,) = Path(os.environ.get("PLANT_MODEL_URI") or bundled_models()).glob("*/manifest.json")
        # In float32: the graph that the test takes apart.
        self._manifest = {**json.loads(manifest.read_text()), "precision": "fp32"}
        self.graph = (manifest.parent / "model.onnx").read_bytes()

    def make(self, version: str, graph: bytes | None = None, classes: slice = slice(None), **changes: object) -> Made:
        """Write a version."""
        folder = self._folder / version
        folder.mkdir()
        (folder / "model.onnx").write_bytes(graph or self.graph)
        named = [{**info, "class_id": f"{info['class_id']} {version}"} for info in self._manifest["classes"][classes]]
        files = {"model.onnx": describe_file(folder / "model.onnx").model_dump()}
        fields = {**self._manifest, "version": version, "classes": named, "files": files, **changes}
        manifest = json.dumps(fields).encode()
        (folder / "manifest.json").write_bytes(manifest)
        return Made(folder, hashlib.sha256(manifest).hexdigest(), f"{CLASS_ID} {version}")

    def without_numbers(self) -> bytes:
        """A graph that gives NaN."""
        model = onnx.load_from_string(self.graph)
        bias = min((each for each in model.graph.initializer if each.dims == [34]), key=lambda each: each.name)
        bias.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(bias) * float("nan"), bias.name))
        written: bytes = model.SerializeToString()
        return written


@pytest.fixture
def models(tmp_path: Path) -> Models:
    folder = tmp_path / "made"
    folder.mkdir()
    return Models(folder)


class Place:
    """A model store, and the settings of a service that reads it through a proxy."""

    def __init__(self, uri: str, settings: dict[str, str], proxy: FaultyProxy | None = None) -> None:
        self.uri, self.proxy = uri, proxy
        self.settings = {"PLANT_MODEL_URI": uri, "PLANT_MODEL_REFRESH_S": str(REFRESH_S), **settings}

    @property
    def store(self) -> Store:
        """Without the proxy."""
        return open_store(self.uri)

    def serve_from_now(self, made: Made) -> None:
        """Publish and promote."""
        release = open_release(made.folder)
        publish(release, self.store)
        promote(self.store, "stable", release.manifest.version)


@pytest.fixture
def make_place(
    tmp_path: Path, aws_environment: pytest.MonkeyPatch, moto_url: str, gcs_url: str
) -> Iterator[Callable[[str], Place]]:
    aws_environment.setenv("AWS_ENDPOINT_URL_S3", moto_url)
    aws_environment.setenv("STORAGE_EMULATOR_HOST", gcs_url)
    proxies: list[FaultyProxy] = []

    def make(kind: str) -> Place:
        cache = {"PLANT_MODEL_CACHE": str(tmp_path / "cache")}
        if kind == "local":
            return Place(str(tmp_path / "store"), cache)
        bucket = f"models-{secrets.token_hex(6)}"
        if kind == "s3":
            location = {"LocationConstraint": REGION}
            boto3.client("s3").create_bucket(Bucket=bucket, CreateBucketConfiguration=location)  # type: ignore[arg-type]
        else:
            httpx.post(f"{gcs_url}/storage/v1/b", json={"name": bucket}, trust_env=False).raise_for_status()
        proxy = FaultyProxy({"s3": moto_url, "gs": gcs_url}[kind])
        proxies.append(proxy)
        settings = {"s3": {"AWS_ENDPOINT_URL_S3": proxy.url, **AWS}, "gs": {"STORAGE_EMULATOR_HOST": proxy.url}}
        return Place(f"{kind}://{bucket}/models", {**cache, **settings[kind]}, proxy)

    yield make
    for proxy in proxies:
        proxy.close()


@pytest.fixture(params=["local", "s3", "gs"])
def place(request: pytest.FixtureRequest, make_place: Callable[[str], Place]) -> Place:
    return make_place(request.param)


def ask(service: Process) -> httpx.Response:
    headers = {"content-type": "image/jpeg"}
    return httpx.post(f"{service.url}/predict", content=leaf(), headers=headers, trust_env=False, timeout=60)


def served(service: Process) -> str:
    answer = ask(service)
    assert answer.status_code == 200, answer.text
    version: str = answer.json()["model"]["version"]
    return version


def said(service: Process, message: str) -> list[dict[str, Any]]:
    """The log lines that start so."""
    return [line for line in service.log_lines() if line["message"].startswith(message)]


class Load:
    """Clients that ask without a pause."""

    def __init__(self, service: Process, clients: int = 3) -> None:
        self._service = service
        self._ends = threading.Event()
        self._failures: list[object] = []
        self.answers: list[list[dict[str, Any]]] = [[] for _ in range(clients)]
        self._threads = [threading.Thread(target=self._ask, args=(answers,)) for answers in self.answers]
        for thread in self._threads:
            thread.start()

    def _ask(self, answers: list[dict[str, Any]]) -> None:
        with httpx.Client(base_url=self._service.url, trust_env=False, timeout=60) as client:
            while not self._ends.is_set():
                try:
                    answer = client.post("/predict", content=leaf(), headers={"content-type": "image/jpeg"})
                    answer.raise_for_status()
                    answers.append(answer.json())
                except httpx.HTTPError as error:
                    self._failures.append(error)

    def latest(self) -> str:
        """The version of the latest answers; "" until it is the same for all clients."""
        versions = {answers[-1]["model"]["version"] if answers else "" for answers in self.answers}
        return str(versions.pop()) if len(versions) == 1 else ""

    def stop(self) -> list[list[dict[str, Any]]]:
        """The answers of each client, in order; fails if a request has failed."""
        self._ends.set()
        for thread in self._threads:
            thread.join()
        assert not self._failures, self._failures[:3]
        return self.answers


@contextmanager
def loaded(service: Process) -> Iterator[Load]:
    load = Load(service)
    try:
        yield load
    finally:
        load.stop()


def in_runs(answers: list[dict[str, Any]]) -> list[str]:
    """The versions of answers, each run of equal ones once."""
    versions = [answer["model"]["version"] for answer in answers]
    return [version for index, version in enumerate(versions) if index == 0 or versions[index - 1] != version]


def test_under_load(place: Place, models: Models, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = {version: models.make(version) for version in ("1", "2")}
    place.serve_from_now(made["1"])
    took = []
    with processes.uvicorn(folder, **place.settings) as service:
        assert served(service) == "1"
        with loaded(service) as load:
            wait_for(lambda: load.latest() == "1", WITHIN_S)
            publish(open_release(made["2"].folder), place.store)
            for version, move in (
                ("2", lambda: promote(place.store, "stable", "2")),
                ("1", lambda: rollback(place.store, "stable")),
            ):
                move()
                start = time.monotonic()
                wait_for(lambda version=version: load.latest() == version, WITHIN_S)
                took.append(time.monotonic() - start)
            # Some with the old version again.
            count = len(load.answers[0])
            wait_for(lambda: len(load.answers[0]) > count + 5, WITHIN_S)
            answers = load.stop()
        ready = httpx.get(f"{service.url}/health/ready", trust_env=False)
        assert (ready.status_code, ready.json()["model"]) == (200, "ready")
        assert [line["model_version"] for line in said(service, "model loaded")] == ["1", "2", "1"]
    for client in answers:
        assert in_runs(client) == ["1", "2", "1"]
        for answer in client:
            of = made[answer["model"]["version"]]
            # All of an answer is of one model.
            assert answer["model"]["sha256"] == of.sha256
            assert answer["predictions"][0]["class_id"] == of.class_id
    with capsys.disabled():
        times = ", ".join(f"{each:.1f} s" for each in took)
        print(f" {place.uri.partition(':')[0][:2]}: {sum(map(len, answers))} requests, followed after {times}", end="")


def point(place: Place, version: str, sha256: str) -> None:
    """Let the channel name anything."""
    document = Channel(version=version, manifest_sha256=sha256)
    place.store.write("channels/stable.json", document.model_dump_json().encode())


def test_bad_versions_are_refused(make_place: Callable[[str], Place], models: Models, folder: Path) -> None:
    place = make_place("local")
    good, better = models.make("1"), models.make("2")
    place.serve_from_now(good)
    gate = {"slope": 1, "weights": [1.0, 2.0], "offset": 0, "threshold": 0.5}
    bad = {
        "no-graph": models.make("no-graph", b"no graph"),
        "too-few-classes": models.make("too-few-classes", classes=slice(0, -1)),
        "no-numbers": models.make("no-numbers", models.without_numbers()),
        "another-gate": models.make("another-gate", leaf_gate=gate),
        "damaged": models.make("damaged"),
        "cut-short": models.make("cut-short"),
        "missing-file": models.make("missing-file"),
        "another": models.make("another"),
    }
    for made in bad.values():
        publish(open_release(made.folder), place.store)
    place.store.write("damaged/model.onnx", models.graph[:-1] + b"?")
    place.store.write("cut-short/model.onnx", models.graph[: len(models.graph) // 2])
    (Path(place.uri) / "missing-file/model.onnx").unlink()
    pointers = {version: made.sha256 for version, made in bad.items()}
    pointers |= {"missing": "0" * 64, "another": "1" * 64}
    with processes.uvicorn(folder, **{**place.settings, "PLANT_MODEL_REFRESH_S": "0.1"}) as service:
        assert served(service) == "1"
        with loaded(service) as load:
            for version, sha256 in pointers.items():
                point(place, version, sha256)
                wait_for(lambda start=f"version {version} is refused, 1 goes on": said(service, start), WITHIN_S)
                time.sleep(0.3)
                assert served(service) == "1"
                assert httpx.get(f"{service.url}/health/ready", trust_env=False).status_code == 200
            assert len(said(service, "version ")) == len(pointers), "each is named once, however often it is tried"
            point(place, "2", better.sha256)
            publish(open_release(better.folder), place.store)
            wait_for(lambda: load.latest() == "2", WITHIN_S)
            answers = load.stop()
        assert all(in_runs(client) == ["1", "2"] for client in answers)
        cache = Path(place.settings["PLANT_MODEL_CACHE"])
        assert [path.name for path in cache.iterdir()] == [better.sha256], "nothing else is kept"


def test_a_bad_version_is_tried_again_but_not_all_the_time(
    make_place: Callable[[str], Place], models: Models, folder: Path, moto_url: str
) -> None:
    place = make_place("s3")
    place.serve_from_now(models.make("1"))
    good = models.make("2")
    publish(open_release(good.folder), place.store)
    place.store.write("2/model.onnx", b"damaged")
    with Counter(moto_url, b"/2/model.onnx") as counter:
        settings = {**place.settings, "AWS_ENDPOINT_URL_S3": counter.url, "PLANT_MODEL_REFRESH_S": "0.1"}
        with processes.uvicorn(folder, **settings) as service:
            assert served(service) == "1"
            point(place, "2", good.sha256)
            wait_for(lambda: said(service, "version 2 is refused"), WITHIN_S)
            start = time.monotonic()
            wait_for(lambda: counter.count >= 5, WITHIN_S)
            # After 0.1, 0.2, 0.4 and 0.8 s, and not after each tenth.
            assert time.monotonic() - start > 1
            assert len(said(service, "version 2 is refused")) == 1
            place.store.write("2/model.onnx", models.graph)
            wait_for(lambda: served(service) == "2", WITHIN_S)


@pytest.mark.parametrize("kind", ["s3", "gs"])
def test_the_store_is_away(
    make_place: Callable[[str], Place], models: Models, folder: Path, kind: Literal["s3", "gs"]
) -> None:
    place = make_place(kind)
    assert place.proxy
    place.serve_from_now(models.make("1"))
    new = models.make("2")
    with processes.uvicorn(folder, **{**place.settings, "PLANT_MODEL_REFRESH_S": "0.1"}) as service:
        assert served(service) == "1"
        with loaded(service) as load:
            for outage in (1, 2):
                place.proxy.set("refuse")
                wait_for(lambda count=outage: len(said(service, "the channel cannot be followed")) == count, WITHIN_S)
                time.sleep(3)
                assert len(said(service, "the channel cannot be followed")) == outage, "one line for each outage"
                assert httpx.get(f"{service.url}/health/ready", trust_env=False).status_code == 200
                place.proxy.set("pass")
                wait_for(lambda count=outage: len(said(service, "the channel is followed again")) == count, WITHIN_S)
            place.serve_from_now(new)
            wait_for(lambda: load.latest() == "2", WITHIN_S)
            assert all(in_runs(client) == ["1", "2"] for client in load.stop())


def test_nobody_asks_meanwhile(make_place: Callable[[str], Place], models: Models, folder: Path) -> None:
    place = make_place("local")
    place.serve_from_now(models.make("1"))
    with processes.uvicorn(folder, **place.settings) as service:
        assert served(service) == "1"
        place.serve_from_now(models.make("2"))
        wait_for(lambda: len(said(service, "model loaded")) == 2, WITHIN_S)
        assert served(service) == "2"


@pytest.mark.parametrize("setting", [{"PLANT_MODEL_VERSION": "1"}, {"PLANT_MODEL_REFRESH_S": "0"}])
def test_not_followed(
    make_place: Callable[[str], Place], models: Models, folder: Path, setting: dict[str, str]
) -> None:
    place = make_place("local")
    place.serve_from_now(models.make("1"))
    with processes.uvicorn(folder, **{**place.settings, "PLANT_MODEL_REFRESH_S": "0.1", **setting}) as service:
        assert served(service) == "1"
        place.serve_from_now(models.make("2"))
        time.sleep(2)
        assert served(service) == "1"
        assert len(said(service, "model loaded")) == 1


def test_memory_of_the_old_models_is_given_back(
    make_place: Callable[[str], Place], models: Models, folder: Path
) -> None:
    place = make_place("local")
    for version in ("1", "2"):
        place.serve_from_now(models.make(version))
    with processes.uvicorn(folder, **{**place.settings, "PLANT_MODEL_REFRESH_S": "0.1"}) as service:
        sizes = []
        for turn in range(8):
            version = "12"[turn % 2]
            promote(place.store, "stable", version)
            wait_for(lambda version=version: served(service) == version, WITHIN_S)
            time.sleep(1)
            sizes.append(service.memory())
        # A model takes about 20 MB.
        assert sizes[-1] - sizes[0] < 20e6, [size // 2**20 for size in sizes]


def test_the_old_model_lives_as_long_as_its_last_request(
    make_place: Callable[[str], Place], models: Models, tmp_path: Path
) -> None:
    place = make_place("local")
    place.serve_from_now(models.make("1"))
    cache = tmp_path / "cache"
    served = ServedModel(Settings(model_uri=place.uri, model_cache=cache, model_refresh_s=0.05, threads=1))
    in_flight = served.future().result(WITHIN_S)
    old = weakref.ref(in_flight)
    new = models.make("2")
    place.serve_from_now(new)
    wait_for(lambda: served.future().result().manifest.version == "2", WITHIN_S)
    time.sleep(0.3)
    assert old() is in_flight
    del in_flight
    assert old() is None, "nobody else had it"
    assert [path.name for path in cache.iterdir()] == [new.sha256]


def test_a_bundle_that_was_forgotten_can_be_fetched_again(
    make_place: Callable[[str], Place], models: Models, tmp_path: Path
) -> None:
    place = make_place("local")
    place.serve_from_now(models.make("1"))
    bundle = open_version(place.store, "1", cache=tmp_path / "cache")
    path = bundle.fetch("model.onnx")
    bundle.forget()
    assert not path.exists()
    assert bundle.fetch("model.onnx").read_bytes() == models.graph
    shutil.rmtree(path.parent)
    bundle.forget()


def test_a_thread_that_was_frozen_is_woken_by_a_request(monkeypatch: pytest.MonkeyPatch) -> None:
    done = threading.Event()
    periodic = Periodic(done.set, 3600)
    periodic.start()
    time.sleep(0.1)
    periodic.nudge()
    assert not done.wait(0.3), "it is not due yet"
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 7200)
    periodic.nudge()
    assert done.wait(5)
