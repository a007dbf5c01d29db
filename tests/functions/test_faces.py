"""The same question gets the same answer, whichever way and wherever it is asked."""

import base64
from pathlib import Path

import pytest

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


@pytest.fixture(scope="module")
def expected(uvicorn_face: Http) -> dict[str, object]:
    """What is said about the leaf."""
    answer = uvicorn_face.ask("POST", "/predict", content=leaf(), headers={"content-type": "image/jpeg"})
    assert answer.status == 200, answer.content
    diagnosis = stable(answer.json())
    assert diagnosis["predictions"][0]["class_id"] == CLASS_ID  # type: ignore[index]
    return diagnosis


@pytest.mark.parametrize("prefix", ["", "/v1"])
@pytest.mark.parametrize("way", WAYS)
def test_every_way(face: Face, way: str, prefix: str, uploads: Path, expected: dict[str, object]) -> None:
    content, headers = WAYS[way]
    content = content.replace(b"{uploads}", str(uploads).encode())
    answer = face.ask("POST", f"{prefix}/predict", content=content, headers=headers)
    assert answer.status == 200, answer.content
    assert answer.headers["content-type"] == "application/json"
    assert stable(answer.json()) == expected
    assert answer.headers["x-request-id"] == answer.json()["request_id"]


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_every_format(face: Face, kind: str) -> None:
    answers = []
    for content, headers in [
        (leaf(kind), {"content-type": MEDIA_TYPES[kind]}),
        # What counts is what it is, not what it is called.
        (leaf(kind), {"content-type": "image/jpeg"}),
        form(leaf(kind)),
        as_json(image=f"data:{MEDIA_TYPES[kind]};base64,{base64_of(leaf(kind))}"),
    ]:
        answer = face.ask("POST", "/predict", content=content, headers=headers)
        assert answer.status == 200, answer.content
        answers.append(stable(answer.json()))
    assert all(answer == answers[0] for answer in answers)
    assert answers[0]["images"] == [{"width": 256, "height": 256, "format": kind}]
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


def test_uploads_in_s3(s3_face: Http, expected: dict[str, object]) -> None:
    for fields in ({"image_uri": "s3://leaf-uploads/in/leaf.jpg"}, {"image_uris": ["s3://leaf-uploads/in/leaf.jpg"]}):
        content, headers = as_json(**fields)
        for path in ("/predict", "/v1/predict"):
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
def test_uris_elsewhere(s3_face: Http, uri: str) -> None:
    content, headers = as_json(image_uri=uri)
    answer = s3_face.ask("POST", "/predict", content=content, headers=headers)
    assert (answer.status, answer.json()["code"]) == (403, "uri_not_allowed")


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
