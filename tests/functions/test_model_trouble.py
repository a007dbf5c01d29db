"""The model comes from a bucket, and the bucket has trouble: what callers hear, and that it heals by itself."""

import contextlib
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit

import boto3
import httpx
import pytest

from plant_disease.settings import bundled_models
from plant_disease.storage import Store, open_store
from tests.functions import processes
from tests.functions.conftest import AWS
from tests.functions.photos import CLASS_ID, leaf
from tests.functions.processes import Process, wait_for
from tests.servers import REGION, FaultyProxy

Kind = Literal["s3", "gs"]
KINDS: tuple[Kind, ...] = ("s3", "gs")
RETRY_S = "0.2"


class Bucket:
    """A bucket with the bundled model in it, reached by the service through a proxy.

    Attributes:
        version: the model's.
    """

    def __init__(self, kind: Kind, upstream: str, proxy_url: str) -> None:
        models = Path(os.environ.get("PLANT_MODEL_URI") or bundled_models())
        (manifest,) = models.glob("*/manifest.json")
        self.version = manifest.parent.name
        self._files = {
            name: (models / name).read_bytes()
            for name in ("channels/stable.json", f"{self.version}/manifest.json", f"{self.version}/model.int8.onnx")
        }
        self._kind, self._upstream, self._proxy_url = kind, upstream, proxy_url
        self._bucket = f"models-{secrets.token_hex(6)}"
        self.uri = f"{kind}://{self._bucket}/some/prefix"

    def create(self) -> None:
        """The bucket, and everything in it."""
        if self._kind == "s3":
            client = boto3.client("s3", endpoint_url=self._upstream)
            location = {"LocationConstraint": REGION}
            client.create_bucket(Bucket=self._bucket, CreateBucketConfiguration=location)  # type: ignore[arg-type]
        else:
            url = f"{self._upstream}/storage/v1/b"
            httpx.post(url, json={"name": self._bucket}, trust_env=False).raise_for_status()
        for name in self._files:
            self.mend(name)

    def mend(self, name: str) -> None:
        """Put the right bytes there."""
        self._store().write(name, self._files[name])

    def spoil(self, name: str, change: Callable[[bytes], bytes]) -> None:
        """Put other bytes there."""
        self._store().write(name, change(self._files[name]))

    def settings(self, cache: Path) -> dict[str, str]:
        """For a service that loads its model from here."""
        return {
            "PLANT_MODEL_URI": self.uri,
            "PLANT_MODEL_CACHE": str(cache),
            "PLANT_MODEL_RETRY_S": RETRY_S,
            **({"AWS_ENDPOINT_URL_S3": self._proxy_url, **AWS} if self._kind == "s3" else {}),
            **({"STORAGE_EMULATOR_HOST": self._proxy_url} if self._kind == "gs" else {}),
        }

    def _store(self) -> Store:
        return open_store(self.uri)


class Counter:
    """A TCP proxy that counts requests whose first line has a certain text."""

    def __init__(self, upstream: str, text: bytes) -> None:
        self.count = 0
        self._text = text
        self._upstream = (urlsplit(upstream).hostname, urlsplit(upstream).port)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # A thread in accept() is woken by this, and not by close().
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._upstream)
                threading.Thread(target=self._pump, args=(client, server, self._text), daemon=True).start()
                threading.Thread(target=self._pump, args=(server, client, None), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket, text: bytes | None) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                first = data.partition(b"\r\n")[0]
                self.count += bool(text and first.startswith(b"GET ") and text in first)
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)


@pytest.fixture(autouse=True)
def _straight(aws_environment: pytest.MonkeyPatch, moto_url: str, gcs_url: str) -> None:
    """The tests themselves reach the buckets without a proxy."""
    aws_environment.setenv("AWS_ENDPOINT_URL_S3", moto_url)
    aws_environment.setenv("STORAGE_EMULATOR_HOST", gcs_url)


@pytest.fixture
def make_bucket(moto_url: str, gcs_url: str) -> Iterator[Callable[[Kind], tuple[Bucket, FaultyProxy]]]:
    with contextlib.ExitStack() as stack:

        def make(kind: Kind) -> tuple[Bucket, FaultyProxy]:
            upstream = {"s3": moto_url, "gs": gcs_url}[kind]
            proxy = stack.enter_context(FaultyProxy(upstream))
            return Bucket(kind, upstream, proxy.url), proxy

        yield make


@pytest.fixture(params=KINDS)
def place(
    request: pytest.FixtureRequest, make_bucket: Callable[[Kind], tuple[Bucket, FaultyProxy]]
) -> tuple[Bucket, FaultyProxy]:
    return make_bucket(request.param)


Serve = Callable[..., AbstractContextManager[Process]]


@pytest.fixture
def serve(folder: Path, tmp_path: Path) -> Serve:
    """Start a service with its model in a bucket, and nothing in its cache."""

    @contextmanager
    def start(bucket: Bucket, **more: str) -> Iterator[Process]:
        with processes.uvicorn(folder, **bucket.settings(tmp_path / secrets.token_hex(4)), **more) as process:
            yield process

    return start


def ask(service: Process) -> httpx.Response:
    url = f"{service.url}/predict"
    return httpx.post(url, content=leaf(), headers={"content-type": "image/jpeg"}, trust_env=False, timeout=60)


def assert_unavailable(service: Process, *words: str) -> None:
    """A problem that says what is wrong, and nothing that nobody should know."""
    with ThreadPoolExecutor(2) as pool:
        asked = (
            pool.submit(ask, service),
            pool.submit(httpx.get, f"{service.url}/classes", trust_env=False, timeout=60),
        )
    for answer in (each.result() for each in asked):
        assert (answer.status_code, answer.json()["code"]) == (503, "model_unavailable"), answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["retry-after"] == "1"
        for word in words:
            assert word in answer.json()["detail"]
        for secret in ("not-a-secret", "AKID", "Traceback", "X-Amz"):
            assert secret not in answer.text
    assert httpx.get(f"{service.url}/health/live", trust_env=False).status_code == 200
    ready = httpx.get(f"{service.url}/health/ready", trust_env=False)
    assert (ready.status_code, ready.json()["status"]) == (503, "unavailable")


def assert_recovers(service: Process, within_s: float = 20) -> None:
    wait_for(lambda: ask(service).status_code == 200, within_s)
    assert_well(service)


def assert_well(service: Process) -> None:
    answer = ask(service)
    assert answer.status_code == 200, answer.text
    assert answer.json()["predictions"][0]["class_id"] == CLASS_ID
    assert httpx.get(f"{service.url}/health/ready", trust_env=False).json() == {"status": "ok", "model": "ready"}


def test_all_is_well(place: tuple[Bucket, FaultyProxy], serve: Serve) -> None:
    bucket, proxy = place
    bucket.create()
    with serve(bucket) as service:
        ready = httpx.get(f"{service.url}/health/ready", trust_env=False)
        assert ready.json() == {"status": "ok", "model": "idle"}
        assert proxy.connections == 0, "lazily"
        assert_well(service)
        proxy.set("refuse")
        assert_well(service)


def test_no_bucket(place: tuple[Bucket, FaultyProxy], serve: Serve) -> None:
    bucket, _ = place
    with serve(bucket) as service:
        assert_unavailable(service, "There is no bucket", bucket.uri.rsplit("/", 2)[0])
        bucket.create()
        assert_recovers(service)


def cut_short(data: bytes) -> bytes:
    return data[: len(data) // 2]


def flip_a_byte(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes((data[middle] ^ 1,)) + data[middle + 1 :]


@pytest.mark.parametrize("change", [cut_short, flip_a_byte])
def test_spoiled_model(place: tuple[Bucket, FaultyProxy], serve: Serve, change: Callable[[bytes], bytes]) -> None:
    bucket, _ = place
    bucket.create()
    bucket.spoil(f"{bucket.version}/model.int8.onnx", change)
    with serve(bucket) as service:
        assert_unavailable(service, f"{bucket.uri}/{bucket.version}/model.int8.onnx does not match its manifest")
        bucket.mend(f"{bucket.version}/model.int8.onnx")
        assert_recovers(service)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("name", "pinned", "words"),
    [
        ("{version}/manifest.json", True, "is not valid: "),
        ("{version}/manifest.json", False, "is not the manifest that channel 'stable' names"),
        ("channels/stable.json", False, "is not valid: "),
    ],
)
def test_spoiled_documents(
    make_bucket: Callable[[Kind], tuple[Bucket, FaultyProxy]],
    serve: Serve,
    kind: Kind,
    name: str,
    pinned: bool,
    words: str,
) -> None:
    bucket, _ = make_bucket(kind)
    bucket.create()
    name = name.format(version=bucket.version)
    bucket.spoil(name, cut_short)
    with serve(bucket, PLANT_MODEL_VERSION=bucket.version if pinned else "") as service:
        assert_unavailable(service, f"{bucket.uri}/{name} {words}")
        bucket.mend(name)
        assert_recovers(service)


@pytest.mark.parametrize("mode", ["refuse", "reset", "cut"])
def test_dead_server(place: tuple[Bucket, FaultyProxy], serve: Serve, mode: Literal["refuse", "reset", "cut"]) -> None:
    bucket, proxy = place
    bucket.create()
    # What tells of the model is shorter; the model itself breaks off.
    proxy.set(mode, after=1_000_000)
    name = f"{bucket.version}/model.int8.onnx" if mode == "cut" else "channels/stable.json"
    with serve(bucket) as service:
        assert_unavailable(service, f"{bucket.uri}/{name} is not available", "attempts: 3")
        proxy.set("pass")
        assert_recovers(service)


def test_slow_and_hanging_server(make_bucket: Callable[[Kind], tuple[Bucket, FaultyProxy]], serve: Serve) -> None:
    # All at once: each takes the 20 seconds that a request waits for a model.
    def run(kind: Kind, mode: Literal["hang", "slow"]) -> None:
        bucket, proxy = places[kind, mode]
        with serve(bucket) as service:
            proxy.set(mode)
            start = time.monotonic()
            assert_unavailable(service, "has not been loaded within 20 seconds")
            assert time.monotonic() - start < 26, "API Gateway waits 29"
            proxy.set("pass")
            assert_recovers(service)

    cases: list[tuple[Kind, Literal["hang", "slow"]]] = [(kind, mode) for kind in KINDS for mode in ("hang", "slow")]
    places = {case: make_bucket(case[0]) for case in cases}
    for bucket, _ in places.values():
        bucket.create()
    with ThreadPoolExecutor(len(cases)) as pool:
        for done in [pool.submit(run, *case) for case in cases]:
            done.result()


def test_readiness_alone_brings_it_back(
    make_bucket: Callable[[Kind], tuple[Bucket, FaultyProxy]], serve: Serve
) -> None:
    # While the probe fails, Kubernetes sends no request that would load the model again.
    bucket, _ = make_bucket("s3")
    with serve(bucket, PLANT_MODEL_LOADING="background") as service:
        assert_unavailable(service, "There is no bucket")
        bucket.create()
        wait_for(lambda: httpx.get(f"{service.url}/health/ready", trust_env=False).status_code == 200, 10)
        assert_well(service)


@pytest.mark.parametrize("kind", KINDS)
def test_many_first_requests_download_once(kind: Kind, moto_url: str, gcs_url: str, serve: Serve) -> None:
    upstream = {"s3": moto_url, "gs": gcs_url}[kind]
    with Counter(upstream, b"model.int8.onnx") as counter:
        bucket = Bucket(kind, upstream, counter.url)
        bucket.create()
        with serve(bucket, PLANT_MAX_QUEUE="50") as service, ThreadPoolExecutor(50) as pool:
            answers = list(pool.map(lambda _: ask(service), range(50)))
            assert [answer.status_code for answer in answers] == [200] * 50
            assert {answer.json()["predictions"][0]["class_id"] for answer in answers} == {CLASS_ID}
        assert counter.count == 1
