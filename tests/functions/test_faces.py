"""The same question gets the same answer, whichever way and wherever it is asked."""

import base64
import time
from pathlib import Path

import pytest

from tests.functions.conftest import Faces
from tests.functions.faces import Face, Http
from tests.functions.photos import CLASS_ID, MEDIA_TYPES, as_json, base64_of, form, leaf

URI = "{uploads}/leaf.jpg"
WAYS: dict[str, tuple[bytes, dict[str, str]]] = {
    "multipart": form(leaf()),
    "multipart images": form(leaf(), field="images"),
    "raw jpeg": (leaf(), {"content-type": "image/jpeg"}),
    "raw jpeg by another name": (leaf(), {"content-type": "IMAGE/JPG; q=1"}),
    "json": as_json(image=base64_of(leaf())),
    "json data url": as_json(image=f"data:image/jpeg;base64,{base64_of(leaf())}"),
    "json wrapped": as_json(image=base64.encodebytes(leaf()).decode()),
    "json wrapped with CRLF": as_json(image=base64.encodebytes(leaf()).decode().replace("\n", "\r\n")),
    "json images": as_json(images=[base64_of(leaf())]),
    "json image_uri": as_json(image_uri=URI),
    "json image_uris": as_json(image_uris=[URI]),
}
"""A JPEG of the leaf, in every way."""


def stable(answer: dict[str, object]) -> dict[str, object]:
    """Without what differs from request to request."""
    return {name: value for name, value in answer.items() if name not in ("request_id", "timings_ms")}


@pytest.fixture
def expected(faces: Faces, function: str) -> dict[str, object]:
    """What a function says about the leaf."""
    answer = faces(function, "uvicorn").ask(
        "POST", f"/{function}", content=leaf(), headers={"content-type": "image/jpeg"}
    )
    assert answer.status == 200, answer.content
    diagnosis = stable(answer.json())
    assert diagnosis["predictions"][0]["class_id"] == CLASS_ID  # type: ignore[index]
    return diagnosis


@pytest.mark.parametrize("prefix", ["", "/v1"])
@pytest.mark.parametrize("way", WAYS)
def test_every_way(
    any_face: Face, function: str, way: str, prefix: str, uploads: Path, expected: dict[str, object]
) -> None:
    content, headers = WAYS[way]
    content = content.replace(b"{uploads}", str(uploads).encode())
    answer = any_face.ask("POST", f"{prefix}/{function}", content=content, headers=headers)
    assert answer.status == 200, answer.content
    assert answer.headers["content-type"] == "application/json"
    assert stable(answer.json()) == expected
    assert answer.headers["x-request-id"] == answer.json()["request_id"]


@pytest.mark.parametrize("container", ["PNG", "WEBP"])
def test_every_format(any_face: Face, function: str, container: str) -> None:
    answers = []
    for content, headers in [
        (leaf(container), {"content-type": MEDIA_TYPES[container]}),
        # What counts is what it is, not what it is called.
        (leaf(container), {"content-type": "image/jpeg"}),
        form(leaf(container)),
        as_json(image=f"data:{MEDIA_TYPES[container]};base64,{base64_of(leaf(container))}"),
    ]:
        answer = any_face.ask("POST", f"/{function}", content=content, headers=headers)
        assert answer.status == 200, answer.content
        answers.append(stable(answer.json()))
    assert all(answer == answers[0] for answer in answers)
    assert answers[0]["images"] == [{"width": 256, "height": 256, "format": container}]
    assert answers[0]["predictions"][0]["class_id"] == CLASS_ID  # type: ignore[index]


def test_photos_of_one_plant(face: Face) -> None:
    photos = [leaf("JPEG"), leaf("PNG"), leaf("WEBP"), leaf("JPEG"), leaf("PNG")]
    content, headers = form(*photos)
    combined = face.ask("POST", "/predict", content=content, headers=headers)
    assert combined.status == 200, combined.content
    assert [image["format"] for image in combined.json()["images"]] == ["JPEG", "PNG", "WEBP", "JPEG", "PNG"]
    assert combined.json()["predictions"][0]["class_id"] == CLASS_ID
    content, headers = as_json(images=[base64_of(photo) for photo in photos])
    again = face.ask("POST", "/predict", content=content, headers=headers)
    assert stable(again.json()) == stable(combined.json())
    for content, headers in [form(*photos, leaf()), as_json(images=[base64_of(leaf())] * 6)]:
        refused = face.ask("POST", "/predict", content=content, headers=headers)
        assert (refused.status, refused.json()["code"]) == (413, "too_many_images")


def test_query(face: Face) -> None:
    headers = {"content-type": "image/jpeg"}
    query = "top_k=2&crop=apple&crop=Corn%20%28maize%29"
    answer = face.ask("POST", "/predict", content=leaf(), headers=headers, query=query)
    assert answer.status == 200, answer.content
    predictions = answer.json()["predictions"]
    assert len(predictions) == 2
    assert {each["crop"] for each in predictions} <= {"Apple", "Corn (maize)"}


def test_uploads_in_s3(s3_face: Http, function: str, expected: dict[str, object]) -> None:
    for fields in ({"image_uri": "s3://leaf-uploads/in/leaf.jpg"}, {"image_uris": ["s3://leaf-uploads/in/leaf.jpg"]}):
        content, headers = as_json(**fields)
        for path in (f"/{function}", f"/v1/{function}"):
            answer = s3_face.ask("POST", path, content=content, headers=headers)
            assert answer.status == 200, answer.content
            assert stable(answer.json()) == expected


@pytest.mark.parametrize(
    "uri",
    [
        "s3://leaf-uploads/secret/leaf.jpg",
        "s3://leaf-uploads/in/../secret/leaf.jpg",
        "s3://leaf-uploads/in//leaf.jpg",
        "s3://leaf-uploads/in2/leaf.jpg",
        "s3://leaf-uploads/in",
        "s3://leaf-uploads/in/",
        "s3://other/in/leaf.jpg",
        "gs://leaf-uploads/in/leaf.jpg",
        "http://127.0.0.1/in/leaf.jpg",
        "https://example.com/leaf.jpg",
        "file:///etc/passwd",
        "/etc/passwd",
        "",
    ],
)
def test_uris_elsewhere(s3_face: Http, function: str, uri: str) -> None:
    content, headers = as_json(image_uri=uri)
    answer = s3_face.ask("POST", f"/{function}", content=content, headers=headers)
    assert (answer.status, answer.json()["code"]) == (403, "uri_not_allowed")


@pytest.mark.parametrize("served", ["uvicorn", "functions-framework", "serve"])
def test_no_body_waits_for_the_acknowledgement_of_its_head(faces: Faces, s3_face: Http, served: str) -> None:
    face = s3_face if served == "serve" else faces("predict", served)
    taken = []
    for _ in range(20):
        start = time.perf_counter()
        face.ask("GET", "/health/live")
        taken.append(time.perf_counter() - start)
    # Clients put it off for 40 ms.
    assert min(taken[5:]) < 0.03


def test_uri_of_nothing(s3_face: Http, face: Face, uploads: Path) -> None:
    for asked, uri in [(s3_face, "s3://leaf-uploads/in/gone.jpg"), (face, f"{uploads}/gone.jpg")]:
        content, headers = as_json(image_uri=uri)
        answer = asked.ask("POST", "/predict", content=content, headers=headers)
        assert (answer.status, answer.json()["code"]) == (404, "image_not_found")


def test_uri_of_something_too_large(face: Face, uploads: Path) -> None:
    (uploads / "large.jpg").write_bytes(bytes(10 * 1024 * 1024 + 1))
    content, headers = as_json(image_uri=f"{uploads}/large.jpg")
    answer = face.ask("POST", "/predict", content=content, headers=headers)
    assert (answer.status, answer.json()["code"]) == (413, "image_too_large")
