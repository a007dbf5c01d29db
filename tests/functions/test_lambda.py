"""Events of every gateway that can stand before Lambda, through AWS's emulator."""

import json
from urllib.parse import quote

import httpx
import pytest

from tests.functions.conftest import Faces
from tests.functions.faces import EVENT_KINDS, EventKind, Lambda, event
from tests.functions.photos import CLASS_ID, as_json, base64_of, form, leaf
from tests.functions.processes import Process


@pytest.fixture
def emulator(lambda_process: Process) -> Lambda:
    return Lambda(lambda_process)


@pytest.mark.parametrize("kind", EVENT_KINDS)
@pytest.mark.parametrize("way", ["raw", "form", "json"])
def test_binary_body(emulator: Lambda, kind: EventKind, way: str) -> None:
    content, headers = {
        "raw": (leaf(), {"content-type": "image/jpeg"}),
        "form": form(leaf(), leaf("PNG")),
        "json": as_json(image=base64_of(leaf())),
    }[way]
    headers = {**headers, "X-Request-Id": f"test-{kind}-{way}"}
    answer = emulator.invoke(event(kind, "POST", "/predict", content, headers, "top_k=1"))
    assert answer.status == 200, answer.content
    assert [each["class_id"] for each in answer.json()["predictions"]] == [CLASS_ID]
    assert answer.json()["request_id"] == answer.headers["x-request-id"] == f"test-{kind}-{way}"
    assert answer.headers["content-type"] == "application/json"
    assert "total;dur=" in answer.headers["server-timing"]
    line = emulator.process.log_line(f"test-{kind}-{way}")
    assert (line["method"], line["path"], line["status"]) == ("POST", "/predict", 200)


@pytest.mark.parametrize("kind", EVENT_KINDS)
def test_explain(faces: Faces, kind: EventKind) -> None:
    emulator = Lambda(faces("explain", "lambda").process)
    content, headers = as_json(image=base64_of(leaf()))
    answer = emulator.invoke(event(kind, "POST", "/explain", content, headers, f"target={quote(CLASS_ID)}"))
    assert answer.status == 200, answer.content
    assert answer.json()["explanation"]["target"]["class_id"] == CLASS_ID
    # A picture is no text: it comes as base64, with a third more bytes.
    sent = event(kind, "POST", "/explain", leaf(), {"content-type": "image/jpeg"}, "format=png")
    assert _raw(emulator, sent)["isBase64Encoded"]
    picture = emulator.invoke(sent)
    assert picture.headers["content-type"] == "image/png"
    assert picture.content.startswith(b"\x89PNG")


@pytest.mark.parametrize("kind", EVENT_KINDS)
def test_text_body(emulator: Lambda, kind: EventKind) -> None:
    content, headers = as_json(image=base64_of(leaf()))
    sent = event(kind, "POST", "/v1/predict", content, headers, as_text=True)
    assert sent["isBase64Encoded"] is False
    answer = emulator.invoke(sent)
    assert answer.status == 200, answer.content
    assert answer.json()["predictions"][0]["class_id"] == CLASS_ID


@pytest.mark.parametrize("kind", EVENT_KINDS)
def test_no_body(emulator: Lambda, kind: EventKind) -> None:
    answer = emulator.invoke(event(kind, "GET", "/classes"))
    assert answer.status == 200
    assert CLASS_ID in {each["class_id"] for each in answer.json()["classes"]}
    empty = emulator.invoke(event(kind, "POST", "/predict", headers={"content-type": "image/jpeg"}))
    assert (empty.status, empty.json()["code"]) == (400, "empty_image")


@pytest.mark.parametrize("kind", EVENT_KINDS)
def test_query(emulator: Lambda, kind: EventKind) -> None:
    crop = quote("Corn (maize)")
    answer = emulator.invoke(
        event(kind, "POST", "/predict", leaf(), {"content-type": "image/jpeg"}, f"top_k=40&crop={crop}")
    )
    assert (answer.status, answer.json()["code"]) == (422, "invalid_parameter"), "top_k is above the number of classes"
    answer = emulator.invoke(
        event(kind, "POST", "/predict", leaf(), {"content-type": "image/jpeg"}, f"top_k=2&crop={crop}")
    )
    assert {each["crop"] for each in answer.json()["predictions"]} == {"Corn (maize)"}


@pytest.mark.parametrize("kind", [kind for kind in EVENT_KINDS if kind not in ("alb", "http", "url")])
def test_repeated_query(emulator: Lambda, kind: EventKind) -> None:
    answer = emulator.invoke(
        event(kind, "POST", "/predict", leaf(), {"content-type": "image/jpeg"}, "crop=cherry&crop=potato&top_k=9")
    )
    assert {each["crop"] for each in answer.json()["predictions"]} == {"Cherry (including sour)", "Potato"}


@pytest.mark.parametrize("kind", EVENT_KINDS)
def test_problems_are_text(emulator: Lambda, kind: EventKind) -> None:
    # REST APIs hand base64 on as it is unless told which types are binary, and then nobody can read the problem.
    sent = event(kind, "POST", "/predict", b"no photo", {"content-type": "text/plain"})
    answer = emulator.invoke(sent)
    assert (answer.status, answer.json()["code"]) == (415, "unsupported_media_type")
    assert answer.headers["content-type"] == "application/problem+json"
    assert "connection" not in answer.headers
    assert json.loads(_raw(emulator, sent)["body"])["status"] == 415


def test_a_binary_body_that_the_gateway_took_for_text(emulator: Lambda) -> None:
    # What a REST API without binary media types makes of a photo.
    sent = event("rest", "POST", "/predict", headers={"content-type": "image/jpeg"})
    answer = emulator.invoke({**sent, "body": leaf().decode("utf-8", "replace")})
    assert answer.status in (400, 415)


def test_a_hostile_content_length(emulator: Lambda) -> None:
    # Lambda's events are JSON: no HTTP server has looked at the headers.
    for length in ("²", "9" * 5000, "-1", "", "1, 1"):
        headers = {"content-type": "image/jpeg", "content-length": length}
        assert emulator.ask("POST", "/predict", content=leaf(), headers=headers).status == 200


def test_a_hostile_request_id(emulator: Lambda) -> None:
    for sent in ("a\n", "a\r\nSet-Cookie: a=b", "é", "x" * 129):
        answer = emulator.ask("GET", "/health/live", headers={"x-request-id": sent})
        assert answer.status == 200
        assert answer.headers["x-request-id"].isalnum()
        assert len(answer.headers["x-request-id"]) == 32


def _raw(emulator: Lambda, sent: dict[str, object]) -> dict[str, str]:
    url = f"{emulator.process.url}/2015-03-31/functions/function/invocations"
    raw: dict[str, str] = httpx.post(url, json=sent, trust_env=False).json()
    return raw
