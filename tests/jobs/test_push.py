"""Deliveries of Pub/Sub: by nobody but it, and answered so that it knows what to do."""

import base64
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from google.auth.exceptions import TransportError
from google.oauth2 import id_token

from plant_disease.errors import ConfigurationError
from plant_disease.service import push as push_tokens
from plant_disease.service.jobs import Jobs
from plant_disease.service.push import PushTokens
from plant_disease.settings import Settings
from tests.functions import processes
from tests.functions.photos import leaf
from tests.functions.processes import Process
from tests.jobs.google import ACCOUNT, AUDIENCE, Google, Relay, relay


@pytest.fixture(scope="module")
def google() -> Google:
    return Google()


@pytest.fixture(scope="module")
def certificates(google: Google) -> Iterator[Relay]:
    with relay(google) as running:
        yield running


@pytest.fixture
def tokens(certificates: Relay, monkeypatch: pytest.MonkeyPatch) -> PushTokens:
    monkeypatch.setattr(id_token, "_GOOGLE_OAUTH2_CERTS_URL", certificates.url)
    return PushTokens(AUDIENCE, ACCOUNT)


def test_a_token_of_pubsub(tokens: PushTokens, google: Google) -> None:
    assert tokens.are_valid(f"Bearer {google.token()}")
    assert tokens.are_valid(f"bearer {google.token()}")


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "https://another.example.com"},
        {"iss": "https://another.example.com"},
        {"email": "another@leaves.iam.gserviceaccount.com"},
        {"email": None},
        {"email_verified": False},
        {"email_verified": "true"},
        {"exp": int(time.time()) - 60},
        {"iat": int(time.time()) + 600},
    ],
    ids=str,
)
def test_another_token(tokens: PushTokens, google: Google, claims: dict[str, Any]) -> None:
    assert not tokens.are_valid(f"Bearer {google.token(**claims)}")


def test_no_token(tokens: PushTokens, google: Google) -> None:
    signed = google.token()
    head, _, rest = signed.partition(".")
    unsigned = base64.urlsafe_b64encode(b'{"alg": "none", "kid": "1"}').decode().rstrip("=")
    for wrong in ("", "Bearer", "Bearer ", signed, f"Basic {signed}", "Bearer a.b.c", f"Bearer {signed[:-9]}AAAAAAAAA"):
        assert not tokens.are_valid(wrong), wrong
    assert not tokens.are_valid(f"Bearer {unsigned}.{rest}")
    assert not tokens.are_valid(f"Bearer {Google().token()}"), "signed by another key"
    assert head


def test_google_does_not_answer(google: Google, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        monkeypatch.setattr(id_token, "_GOOGLE_OAUTH2_CERTS_URL", url)
        monkeypatch.setattr(push_tokens, "_TIMEOUT_S", 0.2)
        began = time.monotonic()
        with pytest.raises(TransportError):
            PushTokens(AUDIENCE, ACCOUNT).are_valid(f"Bearer {google.token()}")
    assert time.monotonic() - began < 5


@pytest.fixture(scope="module")
def service(certificates: Relay, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    folder = tmp_path_factory.mktemp("push")
    (folder / "uploads").mkdir()
    (folder / "uploads/leaf.jpg").write_bytes(leaf())
    settings = {
        "PLANT_UPLOADS_URI": str(folder / "uploads"),
        "PLANT_JOBS_URI": str(folder / "jobs"),
        # Nobody listens there: what is delivered, the test delivers.
        "PUBSUB_EMULATOR_HOST": f"127.0.0.1:{processes.free_port()}",
        "PLANT_JOBS_QUEUE": "pubsub:projects/leaves/topics/jobs",
        "PLANT_JOBS_PUSH_AUDIENCE": AUDIENCE,
        "PLANT_JOBS_PUSH_ACCOUNT": ACCOUNT,
        "GOOGLE_CERTIFICATES": certificates.url,
    }
    with processes.uvicorn(folder, "tests.jobs.pushed", **settings) as process:
        yield process


def deliver(service: Process, google: Google, body: bytes, token: str | None = None) -> httpx.Response:
    headers = {"authorization": f"Bearer {token or google.token()}"}
    return httpx.post(f"{service.url}/jobs/work", content=body, headers=headers, trust_env=False, timeout=60)


def push(data: bytes) -> bytes:
    message = {"messageId": "1", "data": base64.b64encode(data).decode()}
    return json.dumps({"message": message, "subscription": "s"}).encode()


def test_only_with_a_token(service: Process, google: Google) -> None:
    answer = deliver(service, google, push(b"{}"), Google().token())
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_token")
    assert httpx.post(f"{service.url}/jobs/work", content=push(b"{}"), trust_env=False).status_code == 401
    assert "/jobs/work" not in httpx.get(f"{service.url}/openapi.json", trust_env=False).json()["paths"]


@pytest.mark.parametrize("body", [push(b"{}"), push(b"\xff"), b"", b"[]", b"{", push(b'{"job": "x", "chunk": 0}')])
def test_what_is_of_no_use_does_not_come_again(service: Process, google: Google, body: bytes) -> None:
    assert deliver(service, google, body).status_code == 204


def test_a_queue_that_takes_nothing(service: Process, google: Google) -> None:
    """The order is refused, and under its key it goes on later; without one it is as if it had never been."""
    order: Any = {"json": {"prefix": httpx.URL(service.url).path}, "trust_env": False, "timeout": 60}
    uploads = next(Path(service._log).parent.glob("uploads"))
    order["json"] = {"prefix": str(uploads)}
    jobs = uploads.parent / "jobs"
    answer = httpx.post(f"{service.url}/batch/jobs", **order)
    assert (answer.status_code, answer.json()["code"]) == (503, "jobs_unavailable")
    (job,) = jobs.iterdir()
    (end,) = job.glob("*/end.json")
    assert json.loads(end.read_text())["status"] == "cancelled"
    answer = httpx.post(f"{service.url}/batch/jobs", headers={"Idempotency-Key": "a"}, **order)
    assert answer.status_code == 503
    (kept,) = (each for each in jobs.iterdir() if each != job)
    assert not list(kept.glob("*/end.json"))
    chunk = json.dumps({"job": kept.name, "chunk": 0}).encode()
    for _ in range(2):
        assert deliver(service, google, push(chunk)).status_code == 204
    (end,) = kept.glob("*/end.json")
    assert json.loads(end.read_text())["succeeded"] == 1


def test_what_cannot_be_done_now_comes_again(service: Process, google: Google) -> None:
    jobs = next(Path(service._log).parent.glob("jobs"))
    job = next(each for each in jobs.iterdir() if (each / "job.json").exists())
    (job / "job.json").chmod(0o644)
    document = (job / "job.json").read_text()
    (job / "job.json").write_text("{")
    try:
        chunk = json.dumps({"job": job.name, "chunk": 0}).encode()
        answer = deliver(service, google, push(chunk))
        assert (answer.status_code, answer.json()["code"]) == (503, "try_again")
    finally:
        (job / "job.json").write_text(document)


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"jobs_uri": "jobs"}, "PLANT_UPLOADS_URI"),
        ({"jobs_uri": "ftp://jobs", "uploads_uri": "in"}, "PLANT_JOBS_URI"),
        (
            {"jobs_uri": "jobs", "uploads_uri": "in", "jobs_queue": "pubsub:projects/p/topics/t"},
            "PLANT_JOBS_PUSH_AUDIENCE",
        ),
    ],
)
def test_settings_that_do_not_fit(variables: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Jobs(Settings(**variables), None, None, None)  # type: ignore[arg-type]  # it does not get that far


def test_no_local_queue_on_lambda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9001")
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "batch")
    with pytest.raises(ConfigurationError, match="Lambda"):
        Jobs(Settings(jobs_uri="jobs", uploads_uri="in"), None, None, None)  # type: ignore[arg-type]
