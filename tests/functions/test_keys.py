"""Who gets in: real services with the document of the keys in a folder, S3 and Cloud Storage."""

import asyncio
import hashlib
import json
import secrets
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

import boto3
import httpx
import pytest
from fastapi import APIRouter, Depends

from plant_disease import keys
from plant_disease.keys import KeyStore
from plant_disease.plans import Plan
from plant_disease.service.app import create_app
from plant_disease.service.auth import Caller, caller
from plant_disease.settings import Settings
from tests.functions import processes
from tests.functions.conftest import AWS
from tests.functions.faces import EVENT_KINDS, Answer, Face, Http, Lambda
from tests.functions.photos import leaf
from tests.functions.processes import wait_for
from tests.servers import REGION, FaultyProxy

REFRESH_S = 0.3
WITHIN_S = 60
"""For the machine that runs the tests."""

JPEG = {"content-type": "image/jpeg"}
CANNOT, CAN = "the API keys cannot be read", "the API keys have been read"


class Place:
    """A document of keys with one plan, and the settings of a service that reads it through a proxy."""

    def __init__(self, uri: str, settings: dict[str, str], proxy: FaultyProxy | None = None) -> None:
        self.uri, self.proxy = uri, proxy
        self.settings = {
            "PLANT_AUTH": "required",
            "PLANT_API_KEYS_URI": uri,
            "PLANT_API_KEYS_REFRESH_S": str(REFRESH_S),
            **settings,
        }
        self.store = KeyStore(uri)
        self.issued: list[keys.Issued] = []
        keys.define_plan(self.store, "starter", Plan())

    def create(self, **fields: Any) -> keys.Issued:
        """Make a key that opens predict."""
        given = {"name": "Greenhouse", "scopes": ["predict"], "plan": "starter"}
        self.issued.append(keys.create(self.store, **{**given, **fields}))
        return self.issued[-1]


class Service:
    """A face of a service, whose answers and log never hold a key or a hash.

    Attributes:
        process: it runs in.
    """

    def __init__(self, place: Place, face: Face) -> None:
        self._place, self._face = place, face
        self.process = face.process

    def ask(self, key: str | None = None, *, path: str = "/predict", **headers: str) -> Answer:
        """Ask with a key; names of headers may be spelt with underscores."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        with_key = {"X-API-Key": key} if key is not None else {}
        answer = self._face.ask("POST", path, content=leaf(), headers={**JPEG, **with_key, **sent})
        assert_silent(self._place, key or "", f"{answer.headers} {answer.content!r}")
        return answer

    def status(self, key: str | None = None, **headers: str) -> int:
        return self.ask(key, **headers).status

    def said(self, message: str) -> list[dict[str, Any]]:
        """The log lines that start so."""
        return [line for line in self.process.log_lines() if line["message"].startswith(message)]


def assert_silent(place: Place, sent: str, text: str) -> None:
    for key in (sent, *(issued.text for issued in place.issued)):
        if keys.id_of(key):
            assert key.split("_")[2] not in text
            assert hashlib.sha256(key.encode()).hexdigest() not in text


@contextmanager
def served(
    place: Place, folder: Path, start: Callable[..., Any] = processes.uvicorn, **settings: str
) -> Iterator[Service]:
    with start(folder, **{**place.settings, **settings}) as process:
        face: Face = Lambda(process) if start is processes.lambda_emulator else Http(process)
        yield Service(place, face)
        assert_silent(place, "", process.log())


def code_of(answer: Answer) -> tuple[int, str]:
    if answer.status == 401:
        assert answer.headers["www-authenticate"].startswith('Bearer realm="plant-disease"')
    if answer.status == 503:
        assert int(answer.headers["retry-after"]) >= 1
    return answer.status, answer.json().get("code", "")


@pytest.fixture
def make_place(
    tmp_path: Path, aws_environment: pytest.MonkeyPatch, moto_url: str, gcs_url: str
) -> Iterator[Callable[[str], Place]]:
    aws_environment.setenv("AWS_ENDPOINT_URL_S3", moto_url)
    aws_environment.setenv("STORAGE_EMULATOR_HOST", gcs_url)
    proxies: list[FaultyProxy] = []

    def make(kind: str) -> Place:
        if kind == "local":
            return Place(str(tmp_path / "keys.json"), {})
        bucket = f"keys-{secrets.token_hex(6)}"
        if kind == "s3":
            location = {"LocationConstraint": REGION}
            boto3.client("s3").create_bucket(Bucket=bucket, CreateBucketConfiguration=location)  # type: ignore[arg-type]
        else:
            httpx.post(f"{gcs_url}/storage/v1/b", json={"name": bucket}, trust_env=False).raise_for_status()
        proxy = FaultyProxy({"s3": moto_url, "gs": gcs_url}[kind])
        proxies.append(proxy)
        settings = {"s3": {"AWS_ENDPOINT_URL_S3": proxy.url, **AWS}, "gs": {"STORAGE_EMULATOR_HOST": proxy.url}}
        return Place(f"{kind}://{bucket}/some/keys.json", settings[kind], proxy)

    yield make
    for proxy in proxies:
        proxy.close()


@pytest.fixture
def local(make_place: Callable[[str], Place]) -> Place:
    return make_place("local")


@pytest.mark.parametrize("kind", ["local", "s3", "gs"])
def test_created_rotated_revoked(make_place: Callable[[str], Place], folder: Path, kind: str) -> None:
    place = make_place(kind)
    with served(place, folder) as service:
        assert code_of(service.ask()) == (401, "key_required")
        wait_for(lambda: code_of(service.ask(keys.generate())) == (401, "invalid_key"), WITHIN_S)
        old = place.create()
        wait_for(lambda: service.status(old.text) == 200, WITHIN_S)
        assert service.status(Authorization=f"Bearer {old.text}") == 200
        new = keys.rotate(place.store, old.id, keep=timedelta(days=1))
        place.issued.append(new)
        wait_for(lambda: service.status(new.text) == 200, WITHIN_S)
        assert service.status(old.text) == 200, "both live while rotating"
        keys.revoke(place.store, old.id)
        wait_for(lambda: service.status(old.text) == 401, WITHIN_S)
        assert service.status(new.text) == 200
        assert code_of(service.ask(old.text)) == (401, "invalid_key")
        line = service.process.log_line(service.ask(new.text).headers["x-request-id"])
        assert (line["key_id"], line["status"]) == (new.id, 200)


def test_what_is_not_valid_is_told_alike(local: Place, folder: Path) -> None:
    right, revoked = local.create(), local.create()
    keys.revoke(local.store, revoked.id)
    foreign = keys.generate()
    wrong = [
        foreign,
        f"pd_{right.id}_{foreign.split('_')[2]}",
        right.text[:-1],
        right.text + "x",
        right.text.replace("pd_", "PD_"),
        revoked.text,
        "x",
        "x" * 5000,
        "null",
    ]
    with served(local, folder) as service:
        answers = [service.ask(key) for key in wrong]
        answers += [service.ask(Authorization=f"Bearer {key}") for key in wrong]
        answers.append(service.ask(right.text[:-1], Authorization="Bearer eyJhbGciOiJIUzI1NiJ9.e30.x"))
    assert {code_of(answer) for answer in answers} == {(401, "invalid_key")}
    assert len({answer.json()["detail"] for answer in answers}) == 1
    assert {answer.headers["www-authenticate"] for answer in answers} == {
        'Bearer realm="plant-disease", error="invalid_token"'
    }


def test_scopes_origins_expiry_and_two_headers(local: Place, folder: Path) -> None:
    predict, explain = local.create(), local.create(scopes=["explain", "usage"])
    page = local.create(origins=["https://a.example", "http://localhost:8000"])
    retired = local.create()
    keys.rotate(local.store, retired.id, keep=timedelta(0))
    with served(local, folder, processes.serve) as service:
        assert service.status(predict.text) == 200
        assert code_of(service.ask(explain.text)) == (403, "scope_missing")
        assert service.status(explain.text, path="/explain") == 200
        assert code_of(service.ask(predict.text, path="/v1/explain")) == (403, "scope_missing")

        for origin in ("https://a.example", "http://localhost:8000"):
            assert service.status(page.text, Origin=origin) == 200
        for origin in (
            "https://b.example",
            "http://a.example",
            "https://a.example:8000",
            "https://x.a.example",
            "null",
        ):
            assert code_of(service.ask(page.text, Origin=origin)) == (403, "origin_not_allowed")
            assert service.status(predict.text, Origin=origin) == 200
        assert service.status(page.text) == 200, "no browser"

        assert code_of(service.ask(retired.text)) == (401, "key_expired")
        guessed = f"pd_{retired.id}_{keys.generate().split('_')[2]}"
        assert code_of(service.ask(guessed)) == (401, "invalid_key"), "a stranger learns nothing"

        assert service.status(predict.text, Authorization=f"Bearer {predict.text}") == 200
        assert code_of(service.ask(predict.text, Authorization=f"Bearer {page.text}")) == (400, "two_keys")
        for others in ("Bearer eyJhbGciOiJIUzI1NiJ9.e30.x", "Basic eDp5", "AWS4-HMAC-SHA256 Credential=x", "Bearer"):
            assert service.status(predict.text, Authorization=others) == 200, "it is for a gateway"
        assert service.status(Authorization=f"bearer {predict.text}") == 200
        assert code_of(service.ask(Authorization="Basic eDp5")) == (401, "key_required")

        # Open, whoever asks.
        for path in ("/classes", "/health/live", "/docs", "/openapi.json"):
            assert httpx.get(f"{service.process.url}{path}", trust_env=False).status_code == 200
        schemes = httpx.get(f"{service.process.url}/openapi.json", trust_env=False).json()["components"]
        assert set(schemes["securitySchemes"]) == {"X-API-Key", "Bearer"}


def test_a_key_expires_while_the_service_runs(local: Place, folder: Path) -> None:
    key = local.create(expires=datetime.now(UTC) + timedelta(seconds=3))
    with served(local, folder) as service:
        wait_for(lambda: service.status(key.text) != 200, WITHIN_S)
        assert code_of(service.ask(key.text)) == (401, "key_expired")


def test_what_costs_no_look_at_the_store(make_place: Callable[[str], Place], folder: Path) -> None:
    place = make_place("s3")
    assert place.proxy
    key = place.create()
    with served(place, folder, PLANT_API_KEYS_REFRESH_S="30") as service:
        place.proxy.set("hang")
        assert code_of(service.ask()) == (401, "key_required")
        for with_key in ("", f"X-API-Key: {key.text}\r\n"):
            with socket.create_connection(("127.0.0.1", service.process.port or 0), WITHIN_S) as wire:
                head = (
                    "POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: image/jpeg\r\nContent-Length: 10000000000\r\n"
                )
                wire.sendall(f"{head}{with_key}\r\n".encode())
                assert wire.recv(65536).startswith(b"HTTP/1.1 413 ")
        assert place.proxy.connections == 0
        place.proxy.set("pass")
        wait_for(lambda: service.status(key.text) == 200, WITHIN_S)
        place.proxy.set("hang")
        for _ in range(10):
            assert service.status(key.text) == 200
            assert code_of(service.ask(keys.generate())) == (401, "invalid_key")
        assert place.proxy.connections == 0, "what is known is recent"


@pytest.mark.parametrize(("kind", "mode"), [("s3", "refuse"), ("gs", "refuse"), ("s3", "hang")])
def test_the_store_goes_away(
    make_place: Callable[[str], Place], folder: Path, kind: str, mode: Literal["refuse", "hang"]
) -> None:
    remote = make_place(kind)
    assert remote.proxy
    known, revoked = remote.create(), remote.create()
    keys.revoke(remote.store, revoked.id)
    guessed = f"pd_{known.id}_{keys.generate().split('_')[2]}"
    with (
        served(remote, folder) as patient,
        served(remote, folder, PLANT_API_KEYS_STALE_S="1") as strict,
    ):
        services = (patient, strict)
        for service in services:
            wait_for(lambda service=service: service.status(known.text) == 200, WITHIN_S)
        remote.proxy.set(mode)
        wait_for(lambda: all(service.said(CANNOT) for service in services), WITHIN_S)
        new = remote.create()
        # What it knows is too old by now to say that there is no such key.
        wait_for(lambda: code_of(patient.ask(new.text)) == (503, "keys_unavailable"), WITHIN_S)
        for _ in range(5):
            assert patient.status(known.text) == 200
            assert code_of(patient.ask(keys.generate())) == (503, "keys_unavailable")
            assert code_of(patient.ask(new.text[:-1])) == (401, "invalid_key"), "no key can look like that"
            assert code_of(patient.ask(revoked.text)) == (401, "invalid_key")
            assert code_of(patient.ask()) == (401, "key_required")
        wait_for(lambda: code_of(strict.ask(known.text)) == (503, "keys_unavailable"), WITHIN_S)
        for key in (known, new, revoked):
            assert code_of(strict.ask(key.text)) == (503, "keys_unavailable")
        for service in services:
            (line,) = service.said(CANNOT)
            assert line["severity"] == "ERROR"
            assert remote.uri in line["message"]
        remote.proxy.set("pass")
        for service in services:
            wait_for(lambda service=service: service.status(new.text) == 200, WITHIN_S)
            assert service.status(known.text) == 200
            assert code_of(service.ask(guessed)) == (401, "invalid_key")
            assert (len(service.said(CANNOT)), len(service.said(CAN))) == (1, 2), "one line for it, and one for its end"


def test_the_store_is_away_from_the_start(make_place: Callable[[str], Place], folder: Path) -> None:
    remote = make_place("gs")
    assert remote.proxy
    key = remote.create()
    remote.proxy.set("refuse")
    with served(remote, folder) as service:
        for asked in (key.text, keys.generate(), key.text[:-1]):
            assert code_of(service.ask(asked)) == (503, "keys_unavailable")
        assert code_of(service.ask()) == (401, "key_required")
        assert httpx.get(f"{service.process.url}/health/live", trust_env=False).status_code == 200
        assert len(service.said(CANNOT)) == 1
        remote.proxy.set("hang")
        wait_for(lambda: remote.proxy.connections, WITHIN_S)
        before = remote.proxy.connections
        for _ in range(3):
            assert code_of(service.ask(key.text)) == (503, "keys_unavailable")
        assert remote.proxy.connections == before, "nobody waits for an attempt to end"
        remote.proxy.set("pass")
        wait_for(lambda: service.status(key.text) == 200, WITHIN_S)
        assert code_of(service.ask(keys.generate())) == (401, "invalid_key")
        assert len(service.said(CANNOT)) == len(service.said(CAN)) == 1


def test_a_document_that_is_spoilt_counts_as_away(local: Place, folder: Path) -> None:
    key = local.create()
    path = Path(local.uri)
    whole = path.read_text()
    with served(local, folder) as service:
        assert service.status(key.text) == 200
        # Such that what is wrong stands next to what is secret.
        path.write_text(json.dumps({**json.loads(whole), "format": [key.text, key.record.sha256], key.text: 1}))
        # It is read again though nobody asks.
        wait_for(lambda: service.said(CANNOT), WITHIN_S)
        wait_for(lambda: code_of(service.ask(keys.generate())) == (503, "keys_unavailable"), WITHIN_S)
        assert service.status(key.text) == 200
        path.write_text(whole)
        wait_for(lambda: code_of(service.ask(keys.generate())) == (401, "invalid_key"), WITHIN_S)
        path.unlink()
        wait_for(lambda: code_of(service.ask(key.text)) == (401, "invalid_key"), WITHIN_S)


def test_an_address_that_is_wrong_lets_nobody_in(local: Place, folder: Path) -> None:
    key = local.create()
    with served(local, folder, PLANT_API_KEYS_URI="s3://bucket") as service:
        assert code_of(service.ask(key.text)) == (503, "keys_unavailable")
        assert code_of(service.ask()) == (401, "key_required")
        assert "names a bucket, and no document" in service.said(CANNOT)[0]["message"]


def test_a_process_that_was_frozen_looks_before_it_lets_anybody_in(
    make_place: Callable[[str], Place], folder: Path
) -> None:
    remote = make_place("s3")
    old = remote.create()
    with served(remote, folder) as service:
        wait_for(lambda: service.status(old.text) == 200, WITHIN_S)
        # As Lambda does between invocations.
        service.process.popen.send_signal(signal.SIGSTOP)
        keys.revoke(remote.store, old.id)
        new = remote.create()
        time.sleep(3 * REFRESH_S)
        service.process.popen.send_signal(signal.SIGCONT)
        assert code_of(service.ask(old.text)) == (401, "invalid_key")
        assert service.status(new.text) == 200


def test_without_a_key(local: Place, folder: Path) -> None:
    key = local.create()
    with served(local, folder, PLANT_ANONYMOUS_PLAN="free") as service:
        assert code_of(service.ask()) == (401, "key_required"), "there is no such plan yet"
        assert len(service.said("PLANT_ANONYMOUS_PLAN names no plan")) == 1
        keys.define_plan(local.store, "free", Plan(rates={"predict": "5/minute"}))
        wait_for(lambda: service.status() == 200, WITHIN_S)
        answer = service.ask()
        assert "key_id" not in service.process.log_line(answer.headers["x-request-id"])
        for wrong in (keys.generate(), "x", key.text[:-1]):
            assert code_of(service.ask(wrong)) == (401, "invalid_key"), "a wrong key is not no key"
            assert code_of(service.ask(Authorization=f"Bearer {wrong}")) == (401, "invalid_key")
        assert service.status(key.text) == 200
        keys.revoke(local.store, key.id)
        wait_for(lambda: service.status(key.text) == 401, WITHIN_S)


@pytest.mark.parametrize("start", [processes.functions_framework, processes.lambda_emulator])
def test_the_other_faces(local: Place, folder: Path, start: Callable[..., Any]) -> None:
    key, other = local.create(), local.create(scopes=["explain"])
    with served(local, folder, start) as service:
        faces = [service]
        if start is processes.lambda_emulator:
            faces = [Service(local, Lambda(service.process, kind)) for kind in EVENT_KINDS]
        for face in faces:
            assert code_of(face.ask()) == (401, "key_required")
            assert code_of(face.ask(keys.generate())) == (401, "invalid_key")
            assert face.status(key.text) == 200
            assert face.status(Authorization=f"Bearer {key.text}") == 200
            assert code_of(face.ask(other.text)) == (403, "scope_missing")
        keys.revoke(local.store, key.id)
        wait_for(lambda: code_of(service.ask(key.text)) == (401, "invalid_key"), WITHIN_S)


def test_what_a_route_learns_of_its_caller(local: Place) -> None:
    """In this process, because no route there is shows it."""
    router = APIRouter()

    @router.post("/who")
    async def who(caller: Annotated[Caller, Depends(caller("batch"))]) -> dict[str, Any]:
        return {"subject": caller.subject, "id": caller.key_id, "name": caller.name, "plan": caller.plan}

    @router.get("/mine")
    async def mine(caller: Annotated[Caller, Depends(caller("usage"))]) -> dict[str, Any]:
        return {"subject": caller.subject}

    def ask(method: str, path: str, key: str | None = None, **settings: Any) -> Any:
        app = create_app(router, settings=Settings(api_keys_uri=local.uri, **settings))

        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(app, client=("192.0.2.7", 1))
            async with httpx.AsyncClient(transport=transport, base_url="http://a") as client:
                return await client.request(method, path, headers={"X-API-Key": key} if key else {})

        return asyncio.run(send()).json()

    free, gold = Plan(rates={"batch": "5/minute"}), Plan(quota="9/day")
    keys.define_plan(local.store, "free", free)
    keys.define_plan(local.store, "gold", gold)
    key = local.create(name="Grünes Haus", scopes=["batch", "usage"], plan="gold")
    anonymous = {"subject": "address:192.0.2.7", "id": None, "name": None}
    known = {"subject": f"key:{key.id}", "id": key.id, "name": "Grünes Haus"}
    assert ask("POST", "/who", key.text) == {**known, "plan": gold.model_dump()}
    assert ask("POST", "/who", anonymous_plan="free") == {**anonymous, "plan": free.model_dump()}
    assert ask("GET", "/mine", key.text)["subject"] == known["subject"]
    refused = ask("GET", "/mine", anonymous_plan="free")
    assert refused["code"] == "key_required", "what an address has used is nobody's to see"
    for sent in (None, key.text, "x"):
        # Off means that no key is looked at.
        assert ask("POST", "/who", sent, auth="off") == {**anonymous, "plan": None}
