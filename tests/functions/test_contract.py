"""The contract: the shape of answers and problems, headers, and the log."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis

from tests.functions import processes
from tests.functions.faces import Face, Http
from tests.functions.photos import CLASS_ID, as_json, base64_of, form, leaf

JPEG = {"content-type": "image/jpeg"}
PNG_OF_ONE_PIXEL = (
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\x08\0\0\0\0:~\x9bU\0\0\0\nIDATx\x9cc`\0\0\0\2\0\1H\xaf\xa4q"
    b"\0\0\0\0IEND\xaeB`\x82"
)
PNG_OF_A_BILLION = PNG_OF_ONE_PIXEL[:16] + b"\0\0\x80\0\0\0\x80\0" + PNG_OF_ONE_PIXEL[24:]
SECRETS = {"x-api-key": "pd_hunter2", "authorization": "Bearer pd_hunter3", "cookie": "session=hunter4"}


@pytest.fixture(scope="module")
def schema(uvicorn_face: Http) -> schemathesis.BaseSchema:
    return schemathesis.openapi.from_url(f"{uvicorn_face.process.url}/openapi.json")


def assert_documented(schema: schemathesis.BaseSchema, uvicorn_face: Http, **request: Any) -> httpx.Response:
    """Send a request to /predict, and hold the answer against /openapi.json."""
    url = f"{uvicorn_face.process.url}/predict"
    answer = httpx.post(url, trust_env=False, **{"content": leaf(), "headers": JPEG, **request})
    operation = schema["/predict"]["POST"]
    assert str(answer.status_code) in operation.definition.raw["responses"]
    operation.validate_response(answer)
    return answer


def test_answer(schema: schemathesis.BaseSchema, uvicorn_face: Http) -> None:
    answer = assert_documented(schema, uvicorn_face).json()
    probability = answer["predictions"][0]["probability"]
    assert answer == {
        "request_id": answer["request_id"],
        "model": {"name": "plant-disease", "version": answer["model"]["version"], "sha256": answer["model"]["sha256"]},
        "decision": "diagnosed",
        "is_leaf": {"probability": answer["is_leaf"]["probability"], "threshold": 0.5, "binary": True},
        "is_healthy": {"probability": answer["is_healthy"]["probability"], "threshold": 0.5, "binary": False},
        "predictions": [
            {
                "class_id": CLASS_ID,
                "crop": "Apple",
                "disease": "Cedar apple rust",
                "healthy": False,
                "probability": probability,
            },
            *answer["predictions"][1:],
        ],
        "explanation": None,
        "images": [{"width": 256, "height": 256, "format": "JPEG"}],
        "timings_ms": answer["timings_ms"],
    }
    assert len(answer["predictions"]) == 3
    assert 0.5 < probability <= 1
    assert [each["probability"] for each in answer["predictions"]] == sorted(
        (each["probability"] for each in answer["predictions"]), reverse=True
    )
    assert re.fullmatch(r"[0-9a-f]{64}", answer["model"]["sha256"])
    timings = answer["timings_ms"]
    assert set(timings) == {"decode", "model", "total"}
    assert 0 < timings["decode"] + timings["model"] <= timings["total"] + 0.2


def test_crop_is_a_hint_that_counts(uvicorn_face: Http) -> None:
    def ask(query: str) -> list[dict[str, Any]]:
        answer = uvicorn_face.ask("POST", "/predict", content=leaf(), headers=JPEG, query=query)
        assert answer.status == 200, answer.content
        predictions: list[dict[str, Any]] = answer.json()["predictions"]
        return predictions

    potato = ask("crop=Potato&top_k=20")
    assert {each["crop"] for each in potato} == {"Potato"}
    assert sum(each["probability"] for each in potato) == pytest.approx(1, abs=1e-4)
    assert ask("crop=apple")[0]["class_id"] == CLASS_ID
    every = ask("top_k=34")
    assert len({each["class_id"] for each in every}) == 34


QUERIES = {
    "top_k=0": "top_k",
    "top_k=-1": "top_k",
    "top_k=35": "35",
    "top_k=x": "top_k",
    "top_k=1.5": "top_k",
    "top_k=": "top_k",
    f"top_k={'9' * 5000}": "top_k",
    "crop=Banana": "Banana",
    "crop=": "crop",
    "crop=apple&crop=Banana": "Banana",
    f"crop={'x' * 101}": "100",
    "&".join(["crop=apple"] * 21): "20",
    "topk=3": "topk",
    "explain=maybe": "explain",
    "details=maybe": "details",
    "x=1": "x",
}


def test_the_defaults_of_the_query_may_be_spelt_out(uvicorn_face: Http) -> None:
    url = f"{uvicorn_face.process.url}/predict?top_k=3&explain=false&details=false"
    answer = httpx.post(url, content=leaf(), headers=JPEG, trust_env=False)
    assert answer.status_code == 200
    assert answer.json()["explanation"] is None


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query[:20])
def test_wrong_parameter(schema: schemathesis.BaseSchema, uvicorn_face: Http, query: str) -> None:
    url = httpx.URL(f"{uvicorn_face.process.url}/predict?{query}")
    answer = httpx.post(url, content=leaf(), headers=JPEG, trust_env=False)
    schema["/predict"]["POST"].validate_response(answer)
    assert answer.status_code == 422
    assert answer.json()["code"] == "invalid_parameter"
    assert QUERIES[query] in answer.json()["detail"]
    assert len(answer.content) < 1500


def problem_cases() -> dict[str, tuple[int, str, tuple[bytes, dict[str, str]]]]:
    def raw(content: bytes, media_type: str = "image/jpeg") -> tuple[bytes, dict[str, str]]:
        return content, {"content-type": media_type}

    good = base64_of(leaf())
    return {
        "no body": (400, "empty_image", raw(b"")),
        "cut off": (400, "unreadable_image", raw(leaf()[:5000])),
        "one pixel": (400, "image_too_small", raw(PNG_OF_ONE_PIXEL)),
        "too many pixels": (413, "image_too_large", raw(PNG_OF_A_BILLION)),
        "too many bytes": (413, "image_too_large", raw(leaf() + bytes(10 * 1024 * 1024))),
        "body too large": (413, "body_too_large", raw(bytes(32 * 1024 * 1024 + 1))),
        "a GIF": (415, "unsupported_format", raw(b"GIF89a" + bytes(100))),
        "a GIF in the middle": (415, "unsupported_format", form(leaf(), b"GIF89a" + bytes(100), leaf())),
        "no content type": (415, "unsupported_media_type", (leaf(), {})),
        "urlencoded": (415, "unsupported_media_type", raw(b"image=1", "application/x-www-form-urlencoded")),
        "a type that is not accepted": (415, "unsupported_media_type", raw(leaf(), "image/gif")),
        "no boundary": (400, "invalid_form", (form(leaf())[0], {"content-type": "multipart/form-data"})),
        "form cut off in its head": (400, "invalid_form", (form(leaf())[0][:40], form()[1])),
        "form cut off in its second photo": (400, "invalid_form", (form(leaf(), leaf())[0][:-1000], form()[1])),
        "form without a file": (400, "no_image", form()),
        "form with text for a photo": (
            400,
            "no_image",
            (b'--edge\r\nContent-Disposition: form-data; name="image"\r\n\r\nhello\r\n--edge--\r\n', form()[1]),
        ),
        "unknown form field": (400, "unknown_field", form(leaf(), field="photo")),
        "empty file": (400, "empty_image", form(leaf(), b"")),
        "six photos": (413, "too_many_images", form(*[leaf()] * 6)),
        "six photos in JSON": (413, "too_many_images", as_json(images=[good] * 6)),
        "six uris": (413, "too_many_images", as_json(image_uris=["a"] * 6)),
        "JSON cut off": (400, "invalid_json", raw(b'{"image": "', "application/json")),
        "JSON with nothing": (400, "no_image", as_json()),
        "JSON with null": (400, "no_image", as_json(image=None)),
        "JSON with too much": (400, "no_image", as_json(image=good, images=[good])),
        "JSON with an empty list": (400, "invalid_json", as_json(images=[])),
        "JSON with an unknown field": (400, "invalid_json", as_json(photo=good)),
        "JSON of a wrong type": (400, "invalid_json", as_json(image=1)),
        "JSON that is a list": (400, "invalid_json", raw(b"[]", "application/json")),
        "not base64": (400, "invalid_base64", as_json(image="*" * 100)),
        "base64 beyond ASCII": (400, "invalid_base64", as_json(image="ä" * 100)),
        "empty base64": (400, "empty_image", as_json(image="")),
        "uri elsewhere": (403, "uri_not_allowed", as_json(image_uri="https://example.com/leaf.jpg")),
    }


@pytest.mark.parametrize("case", problem_cases())
def test_problem(schema: schemathesis.BaseSchema, uvicorn_face: Http, case: str) -> None:
    status, code, (content, headers) = problem_cases()[case]
    answer = assert_documented(schema, uvicorn_face, content=content, headers=headers)
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (status, code), problem
    assert answer.headers["content-type"] == "application/problem+json"
    assert set(problem) == {"type", "title", "status", "detail", "code", "request_id"}
    assert problem["status"] == status
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert problem["detail"].endswith((".", "jpg")) or code == "invalid_json"
    assert "Traceback" not in answer.text


def test_which_photo_is_wrong(uvicorn_face: Http) -> None:
    content, headers = form(leaf(), b"GIF89a" + bytes(100), leaf())
    answer = uvicorn_face.ask("POST", "/predict", content=content, headers=headers)
    assert answer.json()["detail"].startswith("Photo 2 of 3: ")


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("GET", "/predict", 405, "POST"),
        ("DELETE", "/v1/predict", 405, "POST"),
        ("OPTIONS", "/predict", 405, "POST"),
        ("HEAD", "/predict", 405, "POST"),
        ("POST", "/classes", 405, "GET"),
        ("GET", "/", 404, None),
        ("GET", "/v1", 404, None),
        ("GET", "/v1/v1/classes", 404, None),
        ("GET", "/v2/classes", 404, None),
        ("POST", "/predict/", 404, None),
    ],
)
def test_wrong_address(face: Face, method: str, path: str, status: int, allow: str | None) -> None:
    answer = face.ask(method, path)
    assert answer.status == status
    assert answer.headers.get("allow") == allow
    assert answer.headers["content-type"] == "application/problem+json"
    if method != "HEAD":
        assert answer.json()["code"] == {404: "not_found", 405: "method_not_allowed"}[status]


@pytest.mark.parametrize("sent", ["a", "8f14e45f-ceea-467f-a0e6", "A.b:c_d-1", "x" * 128])
def test_request_id_is_kept(face: Face, sent: str) -> None:
    answer = face.ask("GET", "/health/live", headers={"x-request-id": sent})
    assert answer.headers["x-request-id"] == sent


@pytest.mark.parametrize("sent", ["", "a b", "a;b", "x" * 129, "ä", '"', "{}", "a,b"])
def test_hostile_request_id_is_replaced(uvicorn_face: Http, sent: str) -> None:
    headers = [(b"x-request-id", sent.encode())]
    answer = httpx.get(f"{uvicorn_face.process.url}/health/live", headers=headers, trust_env=False)
    assert re.fullmatch(r"[0-9a-f]{32}", answer.headers["x-request-id"])


def test_server_timing(face: Face) -> None:
    face.ask("GET", "/classes")  # or else it may have to wait for the model, and say so
    answer = face.ask("POST", "/predict", content=leaf(), headers=JPEG)
    metrics = [each.split(";dur=") for each in answer.headers["server-timing"].split(", ")]
    assert [name for name, _ in metrics] == ["receive", "decode", "model", "total"]
    assert all(float(ms) >= 0 for _, ms in metrics)


TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.mark.parametrize(
    ("traceparent", "continued"),
    [
        (f"00-{TRACE}-00f067aa0ba902b7-01", True),
        (f"01-{TRACE}-00f067aa0ba902b7-01-more", True),
        (f"ff-{TRACE}-00f067aa0ba902b7-01", False),
        (f"00-{TRACE.upper()}-00f067aa0ba902b7-01", False),
        (f"00-{'0' * 32}-00f067aa0ba902b7-01", False),
        (f"00-{TRACE}-{'0' * 16}-01", False),
        ("nonsense", False),
    ],
)
def test_trace(uvicorn_face: Http, traceparent: str, continued: bool) -> None:
    answer = uvicorn_face.ask("GET", "/health/live", headers={"traceparent": traceparent})
    line = uvicorn_face.process.log_line(answer.headers["x-request-id"])
    assert line.get("trace_id") == (TRACE if continued else None)


def test_log(face: Face) -> None:
    content, headers = form(leaf(), name="my-private-garden.jpg")
    before = len(face.process.log())
    answer = face.ask("POST", "/predict", content=content, headers={**headers, **SECRETS}, query="crop=Apple")
    assert answer.status == 200
    line = face.process.log_line(answer.headers["x-request-id"])
    assert {"method": "POST", "path": "/predict", "status": 200, "decision": "diagnosed"}.items() <= line.items()
    assert line["model_version"] == answer.json()["model"]["version"]
    assert line["ms"] > 0
    assert (line["severity"], "time" in line) == ("INFO", True)
    written = face.process.log()[before:]
    for secret in ("hunter", "garden", base64_of(leaf())[:20], "JFIF", "192.0.2.1"):
        assert secret not in written


def test_log_of_a_problem(uvicorn_face: Http) -> None:
    before = len(uvicorn_face.process.log())
    content, headers = as_json(image_uri="https://example.com/my-private-garden.jpg")
    answer = uvicorn_face.ask("POST", "/v1/predict", content=content, headers={**headers, **SECRETS})
    line = uvicorn_face.process.log_line(answer.headers["x-request-id"])
    assert {"method": "POST", "path": "/v1/predict", "status": 403}.items() <= line.items()
    written = uvicorn_face.process.log()[before:]
    assert "garden" not in written
    assert "hunter" not in written


def test_log_survives_any_path(face: Face) -> None:
    answer = face.ask("GET", "/%0d%22%7b%e2%80%a8%ff%00")
    assert answer.status == 404
    line = face.process.log_line(answer.headers["x-request-id"])
    assert line["status"] == 404
    assert line["path"].startswith('/\r"{')


@pytest.mark.parametrize("prefix", ["", "/v1"])
def test_open_addresses(face: Face, prefix: str) -> None:
    assert face.ask("GET", f"{prefix}/health/live").json()["status"] == "ok"
    classes = face.ask("GET", f"{prefix}/classes").json()["classes"]
    assert len(classes) == 34
    assert all(set(each) == {"class_id", "crop", "disease", "healthy"} for each in classes)
    assert face.ask("GET", f"{prefix}/health/ready").json() == {"status": "ok", "model": "ready"}
    docs = face.ask("GET", f"{prefix}/docs")
    assert docs.status == 200
    assert b'src="docs/docs.js"' in docs.content
    for part in ("docs.js", "samples.js", "docs.css"):
        assert face.ask("GET", f"{prefix}/docs/{part}").status == 200
    document = face.ask("GET", f"{prefix}/openapi.json").json()
    assert set(document["paths"]) == {"/predict", "/uploads", "/usage", "/classes", "/health/live", "/health/ready"}
    references = set(re.findall(r"#/components/schemas/(\w+)", json.dumps(document)))
    assert references == set(document["components"]["schemas"])


@pytest.fixture(scope="module")
def closed(folder: Path) -> Iterator[Http]:
    """With PLANT_AUTH as it is unless someone sets it."""
    with processes.uvicorn(folder, PLANT_AUTH="") as process:
        yield Http(process)


def test_key_required(schema: schemathesis.BaseSchema, closed: Http) -> None:
    for headers in ({}, SECRETS):
        answer = closed.ask("POST", "/predict", content=leaf(), headers={**JPEG, **headers})
        assert (answer.status, answer.json()["code"]) == (401, "key_required")
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert answer.headers["content-type"] == "application/problem+json"
    # Also for a question that is wrong: a stranger learns nothing.
    assert closed.ask("POST", "/predict", query="top_k=0").status == 401
    for path in ("/health/live", "/health/ready", "/classes", "/docs", "/openapi.json", "/v1/classes"):
        assert closed.ask("GET", path).status == 200
    assert "hunter" not in closed.process.log()
