"""Photos that go to the bucket first: asked for, uploaded, diagnosed, and by nobody else."""

import re
import signal
import string
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import requests
from fastapi import FastAPI, Request
from hypothesis import given, settings
from hypothesis import strategies as st

from plant_disease import keys
from plant_disease.keys import KeyStore
from plant_disease.service.problems import Problem
from plant_disease.service.tickets import Ticket, Tickets
from plant_disease.service.uploads import name_of, new_name, owner_of, uri_of
from plant_disease.settings import Settings
from tests import service_accounts
from tests.functions import processes
from tests.functions.conftest import AWS
from tests.functions.faces import Face, Http
from tests.functions.photos import CLASS_ID, MEDIA_TYPES, as_json, leaf
from tests.functions.processes import Process, wait_for

JPEG = {"content-type": "image/jpeg"}


def ask(base: str, *, content_type: str = "image/jpeg", size: int = len(leaf()), **headers: str) -> dict[str, Any]:
    """An answer of POST /uploads."""
    question = {"content_type": content_type, "size": size}
    answer = httpx.post(f"{base}/uploads", json=question, headers=headers, trust_env=False)
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    assert set(document) == {"upload_url", "headers", "image_uri", "expires_at"}
    return document


def diagnose(base: str, uri: str, path: str = "/predict", **headers: str) -> httpx.Response:
    return httpx.post(f"{base}{path}", json={"image_uri": uri}, headers=headers, trust_env=False, timeout=60)


def put(document: dict[str, Any], data: Any = leaf(), **headers: str) -> httpx.Response:  # noqa: B008 - bytes
    headers = {**document["headers"], **headers}
    return httpx.put(document["upload_url"], content=data, headers=headers, trust_env=False)


def assert_problem(answer: httpx.Response, status: int, code: str) -> None:
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Process]:
    """As `make run` starts it: nothing about uploads is configured."""
    with processes.serve(folder) as process:
        yield process


@pytest.mark.parametrize("container", MEDIA_TYPES)
@pytest.mark.parametrize("prefix", ["", "/v1"])
def test_ask_upload_diagnose(server: Process, container: str, prefix: str) -> None:
    base, photo = server.url + prefix, leaf(container)
    before = datetime.now(UTC)
    document = ask(base, content_type=MEDIA_TYPES[container], size=len(photo))
    assert 295 <= (datetime.fromisoformat(document["expires_at"]) - before).total_seconds() <= 301
    assert document["upload_url"].startswith(f"{base}/uploads?")
    assert_problem(diagnose(base, document["image_uri"]), 404, "image_not_found")
    uploaded = put(document, photo)
    assert (uploaded.status_code, uploaded.content) == (204, b"")
    for path in ("/predict", "/explain"):
        answer = diagnose(base, document["image_uri"], path)
        assert answer.status_code == 200, answer.text
        assert answer.json()["predictions"][0]["class_id"] == CLASS_ID
        assert answer.json()["images"][0]["format"] == container


def test_nobody_can_guess_a_name(server: Process) -> None:
    uris = [ask(server.url)["image_uri"] for _ in range(20)]
    assert len(set(uris)) == 20
    # 32 letters of 64 kinds: 192 bits.
    assert all(re.fullmatch(r".+/open/[A-Za-z0-9_-]{32}\.jpg", uri) for uri in uris)


def test_each_url_is_good_for_one_photo(server: Process) -> None:
    document = ask(server.url)
    assert put(document).status_code == 204
    assert_problem(put(document, bytes(len(leaf()))), 412, "already_uploaded")
    assert diagnose(server.url, document["image_uri"]).json()["predictions"][0]["class_id"] == CLASS_ID


def test_only_what_was_asked_for_is_accepted(server: Process) -> None:
    document = ask(server.url)
    photo = leaf()

    def chunks(data: bytes) -> Iterator[bytes]:
        yield from (data[start : start + 1000] for start in range(0, len(data), 1000))

    for refused in (
        put(document, photo[:-1]),
        put(document, photo + b"x"),
        put(document, b""),
        put(document, chunks(photo[:-1])),
        put(document, chunks(photo + bytes(5_000_000))),
        put(document, **{"Content-Type": "image/png"}),
        put(document, **{"Content-Type": "text/html"}),
    ):
        assert_problem(refused, 403, "upload_refused")
    assert_problem(diagnose(server.url, document["image_uri"]), 404, "image_not_found")
    assert put(document, chunks(photo)).status_code == 204


def test_a_ticket_cannot_be_made_up(server: Process) -> None:
    document = ask(server.url)
    url = document["upload_url"]
    start, _, ticket = url.partition("ticket=")
    middle = len(ticket) // 2
    other = Tickets().sign(
        Ticket(place="/tmp", name="x/y.jpg", content_type="image/jpeg", size=len(leaf()), expires=1e12)
    )
    for forged in (
        *("", "a", "ä", "%00", "=" * 8, ticket[:-8], ticket[8:], ticket + "AAAA", other),
        ticket[:middle] + ("A" if ticket[middle] != "A" else "B") + ticket[middle + 1 :],
    ):
        assert_problem(put({**document, "upload_url": f"{start}ticket={forged}"}), 403, "upload_refused")
    assert_problem(put({**document, "upload_url": f"{server.url}/uploads"}), 403, "upload_refused")
    assert put(document).status_code == 204


def test_a_ticket_expires(folder: Path) -> None:
    with processes.serve(folder, PLANT_UPLOADS_EXPIRE_S="1") as server:
        document = ask(server.url)
        expires_at = datetime.fromisoformat(document["expires_at"])
        wait_for(lambda: datetime.now(UTC) > expires_at, 10)
        refused = put(document)
        assert_problem(refused, 403, "upload_refused")
        assert "expired" in refused.json()["detail"]


QUESTIONS: dict[str, tuple[int, str, bytes, str]] = {
    "no json": (400, "invalid_json", b"{", "application/json"),
    "a list": (400, "invalid_json", b"[]", "application/json"),
    "no size": (400, "invalid_json", b'{"content_type": "image/jpeg"}', "application/json"),
    "no type": (400, "invalid_json", b'{"size": 1}', "application/json"),
    "empty": (400, "invalid_json", b'{"content_type": "image/jpeg", "size": 0}', "application/json"),
    "negative": (400, "invalid_json", b'{"content_type": "image/jpeg", "size": -1}', "application/json"),
    "half a byte": (400, "invalid_json", b'{"content_type": "image/jpeg", "size": 1.5}', "application/json"),
    "more fields": (400, "invalid_json", b'{"content_type": "image/jpeg", "size": 1, "key": "a"}', "application/json"),
    "a string of digits": (400, "invalid_json", b'{"content_type": "image/jpeg", "size": "1e3"}', "application/json"),
    "too large": (413, "image_too_large", b'{"content_type": "image/jpeg", "size": 10485761}', "application/json"),
    "another format": (415, "unsupported_format", b'{"content_type": "image/gif", "size": 1}', "application/json"),
    "a trick": (415, "unsupported_format", b'{"content_type": "image/jpeg\\r\\nx: y", "size": 1}', "application/json"),
    "a form": (415, "unsupported_media_type", b"content_type=image/jpeg&size=1", "application/x-www-form-urlencoded"),
    "the photo itself": (415, "unsupported_media_type", leaf(), "image/jpeg"),
    "long": (413, "body_too_large", b" " * 5000, "application/json"),
}


@pytest.mark.parametrize("case", QUESTIONS)
def test_wrong_questions(server: Process, case: str) -> None:
    status, code, content, media_type = QUESTIONS[case]
    headers = {"content-type": media_type}
    answer = httpx.post(f"{server.url}/uploads", content=content, headers=headers, trust_env=False)
    assert_problem(answer, status, code)


def test_what_is_no_photo_is_refused_when_it_is_read(server: Process) -> None:
    document = ask(server.url, size=10)
    assert put(document, b"GIF89a....").status_code == 204
    assert_problem(diagnose(server.url, document["image_uri"]), 415, "unsupported_format")


def test_neither_tickets_nor_names_are_logged(server: Process) -> None:
    document = ask(server.url)
    put(document)
    answer = put(document)
    server.log_line(answer.headers["x-request-id"])
    assert urlsplit(document["upload_url"]).query[-40:] not in server.log()
    assert document["image_uri"].rpartition("/")[2] not in server.log()


def test_the_folder_of_serve_goes_with_it(folder: Path) -> None:
    with processes.serve(folder) as server:
        document = ask(server.url)
        assert put(document).status_code == 204
        place = Path(document["image_uri"]).parents[1]
        assert place.stat().st_mode & 0o077 == 0
        server.popen.send_signal(signal.SIGTERM)
        assert server.popen.wait(30) == 0
    assert not place.exists()


def test_without_a_place_there_are_no_uploads(folder: Path) -> None:
    with processes.uvicorn(folder) as server:
        answer = httpx.post(f"{server.url}/uploads", json={}, trust_env=False)
        assert_problem(answer, 404, "uploads_off")
        assert_problem(diagnose(server.url, "None/open/1.jpg"), 403, "uri_not_allowed")
        assert_problem(diagnose(server.url, "/etc/passwd"), 403, "uri_not_allowed")


def test_every_face(any_face: Face, function: str) -> None:
    content, headers = as_json(content_type="image/jpeg", size=len(leaf()))
    answer = any_face.ask("POST", "/uploads", content=content, headers=headers)
    assert answer.status == 200, answer.content
    document = answer.json()
    url = urlsplit(document["upload_url"])
    put = any_face.ask("PUT", url.path, query=url.query, content=leaf(), headers=document["headers"])
    assert put.status == 204, put.content
    content, headers = as_json(image_uri=document["image_uri"])
    answer = any_face.ask("POST", f"/{function}", content=content, headers=headers)
    assert answer.status == 200, answer.content
    assert answer.json()["predictions"][0]["class_id"] == CLASS_ID


def test_s3(s3_face: Http) -> None:
    base = s3_face.process.url
    document = ask(base)
    assert document["image_uri"].startswith("s3://leaf-uploads/in/open/")
    assert put(document).status_code == 200
    assert put(document).status_code == 412
    assert diagnose(base, document["image_uri"]).json()["predictions"][0]["class_id"] == CLASS_ID


def test_gcs(folder: Path, gcs_url: str, tmp_path: Path) -> None:
    requests.post(f"{gcs_url}/storage/v1/b", json={"name": "leaf-uploads"}, timeout=5).raise_for_status()
    account = service_accounts.key_file(tmp_path, service_accounts.new_key())
    with processes.uvicorn(
        folder,
        PLANT_UPLOADS_URI="gs://leaf-uploads/in/",
        STORAGE_EMULATOR_HOST=gcs_url,
        GOOGLE_APPLICATION_CREDENTIALS=str(account),
    ) as server:
        document = ask(server.url)
        assert document["image_uri"].startswith("gs://leaf-uploads/in/open/")
        assert put(document).status_code == 200
        assert diagnose(server.url, document["image_uri"]).json()["predictions"][0]["class_id"] == CLASS_ID
        # Whatever an emulator lets pass: more than is allowed is not read.
        document = ask(server.url)
        assert put(document, bytes(10 * 1024 * 1024 + 1)).status_code == 200
        assert_problem(diagnose(server.url, document["image_uri"]), 413, "image_too_large")


def test_signing_fails(folder: Path) -> None:
    without = {name: value for name, value in AWS.items() if "KEY" not in name}
    with processes.uvicorn(
        folder,
        PLANT_UPLOADS_URI="s3://leaf-uploads",
        AWS_SHARED_CREDENTIALS_FILE="/dev/null",
        AWS_CONFIG_FILE="/dev/null",
        **without,
    ) as server:
        answer = httpx.post(
            f"{server.url}/uploads", json={"content_type": "image/jpeg", "size": 1}, trust_env=False, timeout=30
        )
        assert_problem(answer, 503, "uploads_unavailable")
        assert int(answer.headers["retry-after"]) >= 1
        assert "aws sts get-caller-identity" in server.log(), "whoever runs this is told what to do"


@pytest.fixture(scope="module")
def anna(key_store: KeyStore) -> dict[str, str]:
    """Headers of a caller."""
    return {"x-api-key": keys.create(key_store, name="Anna", scopes=["predict"], plan="free").text}


@pytest.fixture(scope="module")
def ben(key_store: KeyStore) -> dict[str, str]:
    """Headers of another caller."""
    return {"x-api-key": keys.create(key_store, name="Ben", scopes=["predict"], plan="free").text}


@pytest.fixture(scope="module")
def closed(
    folder: Path, uploads: Path, key_store: KeyStore, anna: dict[str, str], ben: dict[str, str]
) -> Iterator[Process]:
    """Where callers differ."""
    settings = {"PLANT_AUTH": "required", "PLANT_API_KEYS_URI": key_store.uri, "PLANT_UPLOADS_URI": str(uploads)}
    with processes.container(folder, **settings) as process:
        yield process


def test_a_caller_diagnoses_only_what_it_uploaded(
    closed: Process, uploads: Path, anna: dict[str, str], ben: dict[str, str]
) -> None:
    document = ask(closed.url, **anna)
    # The PUT needs no key, and goes where the URL says.
    assert put(document, **ben).status_code == 204
    uri = document["image_uri"]
    assert diagnose(closed.url, uri, **anna).json()["predictions"][0]["class_id"] == CLASS_ID
    assert_problem(diagnose(closed.url, uri, **ben), 403, "uri_not_allowed")
    own, name = ask(closed.url, **ben)["image_uri"].rpartition("/")[0], uri.rpartition("/")[2]
    theirs = uri.rpartition("/")[0].rpartition("/")[2]
    for trick in (
        f"{own}/../{theirs}/{name}",
        f"{own}/%2e%2e/{theirs}/{name}",
        f"{own}/..%2f{theirs}/{name}",
        f"{own}//{theirs}/{name}",
        f"{own}\\..\\{theirs}\\{name}",
        f"{own}/./../{theirs}/{name}",
        f"{own}{theirs}/{name}",
        f"{own[:-1]}/{name}",
        f"{uploads}/leaf.jpg",
        f"{uploads}/open/{name}",
        uri.upper(),
        f" {uri}",
    ):
        answer = diagnose(closed.url, trick, **ben)
        assert answer.status_code in (403, 404), trick
        assert answer.json()["code"] in ("uri_not_allowed", "image_not_found")
        if not trick.startswith(f"{own}/"):
            assert answer.status_code == 403, trick
    assert diagnose(closed.url, uri, **anna).status_code == 200


def test_a_list_is_refused_for_one_that_is_not_allowed(
    closed: Process, anna: dict[str, str], ben: dict[str, str]
) -> None:
    document = ask(closed.url, **anna)
    assert put(document).status_code == 204
    uris = [document["image_uri"], ask(closed.url, **ben)["image_uri"]]
    answer = httpx.post(f"{closed.url}/predict", json={"image_uris": uris}, headers=anna, trust_env=False)
    assert_problem(answer, 403, "uri_not_allowed")


def request_of(subject: str, auth: str) -> Request:
    app = FastAPI()
    app.state.engine = SimpleNamespace(settings=Settings(auth=auth))  # type: ignore[arg-type]
    request = Request({"type": "http", "app": app, "headers": []})
    request.state.caller = SimpleNamespace(subject=subject)
    return request


def test_whoever_they_are_owners_can_stand_in_names() -> None:
    subjects = [
        "key:a",
        "key:b",
        "address:192.0.2.1",
        "address:2001:db8::1",
        "key:../../a",
        "",
        "\0",
        "key:" + "x" * 999,
    ]
    owners = [owner_of(request_of(subject, "required")) for subject in subjects]
    assert len(set(owners)) == len(subjects)
    assert all(re.fullmatch("[0-9a-f]{32}", owner) for owner in owners)
    assert {owner_of(request_of(subject, "off")) for subject in subjects} == {"open"}
    with pytest.raises(AttributeError):
        # Nobody has said who it is: rather fail than take it for someone.
        request = request_of("", "required")
        del request.state.caller
        owner_of(request)


PLACES = st.sampled_from(["/data/in", "s3://bucket/in/", "gs://bucket"])
SEGMENTS = st.sampled_from(["", ".", "..", "a" * 32, "b" * 32, "open", "1.jpg", "in", "%2e%2e", "\\", "\0", "a"])
bounded = settings(deadline=None, derandomize=True, database=None, max_examples=200)


@bounded
@given(PLACES, st.lists(SEGMENTS, max_size=5).map("/".join) | st.text(string.printable, max_size=40))
def test_no_name_leads_to_somebody_else(place: str, rest: str) -> None:
    owner = "a" * 32
    configured = Settings(uploads_uri=place, auth="required")
    for uri in (rest, f"{place}/{rest}", uri_of(rest, place), uri_of(f"{owner}/{rest}", place)):
        try:
            name = name_of(uri, configured, owner)
        except Problem as problem:
            assert (problem.status, problem.code) == (403, "uri_not_allowed")
        else:
            assert uri == uri_of(name, place)
            first, *others = name.split("/")
            assert first == owner
            assert others
            assert not {"", ".", ".."} & set(others)
    with pytest.raises(Problem):
        name_of(uri_of(f"{owner}/{rest}", place), Settings(auth="off"), owner)


@bounded
@given(PLACES, st.sampled_from(sorted(MEDIA_TYPES.values())))
def test_what_is_uploaded_can_be_read_again(place: str, content_type: str) -> None:
    owner = "a" * 32
    name = new_name(owner, content_type)
    assert name_of(uri_of(name, place), Settings(uploads_uri=place, auth="required"), owner) == name
    assert name_of(uri_of(name, place), Settings(uploads_uri=place, auth="off"), "open") == name


@bounded
@given(st.text(max_size=60), st.integers(1, 10**9))
def test_tickets_come_back_as_they_were(name: str, size: int) -> None:
    tickets = Tickets()
    ticket = Ticket(place="in", name=name, content_type="image/png", size=size, expires=1e12)
    assert tickets.check(tickets.sign(ticket)) == ticket
    with pytest.raises(ValueError, match="none that this server has given"):
        Tickets().check(tickets.sign(ticket))
    with pytest.raises(ValueError, match="expired"):
        tickets.check(tickets.sign(ticket.model_copy(update={"expires": 1.0})))


@bounded
@given(st.text(max_size=200) | st.binary(max_size=100).map(bytes.hex))
def test_nonsense_is_no_ticket(text: str) -> None:
    with pytest.raises(ValueError, match="none that this server has given"):
        Tickets().check(text)
