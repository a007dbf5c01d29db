"""Many photos in one request: each is answered for itself, whatever the others are, and however they come."""

import asyncio
import csv
import io
import json
import socket
import struct
import time
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
import schemathesis

from tests.functions import processes
from tests.functions.conftest import AWS, Faces
from tests.functions.faces import EVENT_KINDS, Answer, EventKind, Face, Http, Lambda, event
from tests.functions.photos import CLASS_ID, as_json, base64_of, form, huge, leaf
from tests.functions.processes import ROOT, Process, wait_for
from tests.functions.test_faces import WAYS
from tests.servers import REGION

ROBOT = (ROOT / "tests/photos/robot.png").read_bytes()
LARGE = (ROOT / "tests/photos/phone-12mp.jpg").read_bytes()
ZIP = {"content-type": "application/zip"}
LINES = {"accept": "application/x-ndjson"}


@pytest.fixture(scope="module")
def batch_face(faces: Faces) -> Http:
    face = faces("batch", "uvicorn")
    assert isinstance(face, Http)
    return face


@pytest.fixture(scope="module")
def schema(batch_face: Http) -> schemathesis.BaseSchema:
    return schemathesis.openapi.from_url(f"{batch_face.process.url}/openapi.json")


def zipped(files: Mapping[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return packed.getvalue()


def several(files: list[tuple[str, bytes]]) -> tuple[bytes, dict[str, str]]:
    """A form with files of these names."""
    body = b"".join(form(data, field="images", name=name)[0].removesuffix(b"--edge--\r\n") for name, data in files)
    return body + b"--edge--\r\n", {"content-type": "multipart/form-data; boundary=edge"}


MIXED = [
    ("leaf.jpg", leaf()),
    ("robot.png", ROBOT),
    ("cut.jpg", leaf()[:5000]),
    ("notes.txt", b"hello"),
    ("empty.jpg", b""),
    ("leaf.webp", leaf("WEBP")),
]
CODES = [None, None, "unreadable_image", "unsupported_format", "empty_image", None]


def ask(face: Face, content: bytes, headers: Mapping[str, str], query: str = "", path: str = "/batch") -> Answer:
    return face.ask("POST", path, content=content, headers=headers, query=query)


def items_of(answer: Answer) -> list[dict[str, Any]]:
    assert answer.status == 200, answer.content
    items: list[dict[str, Any]] = answer.json()["items"]
    assert [item["index"] for item in items] == list(range(len(items)))
    return items


def codes(items: list[dict[str, Any]]) -> list[str | None]:
    return [item["problem"]["code"] if item["status"] == "error" else None for item in items]


# --- Items


def test_one_bad_photo_fails_alone(faces: Faces, kind: str, schema: schemathesis.BaseSchema) -> None:
    answer = ask(faces("batch", kind), *several(MIXED), path="/v1/batch")
    items = items_of(answer)
    assert codes(items) == CODES
    assert [item["name"] for item in items] == [name for name, _ in MIXED]
    assert answer.json()["summary"] == {"total": 6, "succeeded": 3, "failed": 3}
    assert [items[i]["decision"] for i in (0, 1, 5)] == ["diagnosed", "rejected", "diagnosed"]
    assert items[5]["images"] == [{"width": 256, "height": 256, "format": "WEBP"}]
    cut = items[2]["problem"]
    assert (cut["status"], cut["request_id"]) == (400, answer.json()["request_id"])
    assert "damaged" in cut["detail"]
    operation = schema["/batch"]["POST"].definition.raw
    assert operation["responses"]["200"]


def test_the_answer_is_as_documented(schema: schemathesis.BaseSchema, batch_face: Http) -> None:
    content, headers = several(MIXED)
    answer = httpx.post(f"{batch_face.process.url}/batch", content=content, headers=headers, trust_env=False)
    schema["/batch"]["POST"].validate_response(answer)


def test_an_item_is_what_predict_says(faces: Faces, batch_face: Http) -> None:
    photos = [leaf(), ROBOT, leaf("PNG"), LARGE, leaf(), leaf("WEBP")]
    query = "top_k=5&crop=apple&crop=tomato"
    items = items_of(ask(batch_face, *form(*photos), query))
    for photo, item in zip(photos, items, strict=True):
        answer = faces("predict", "uvicorn").ask(
            "POST", "/predict", content=photo, headers={"content-type": "image/jpeg"}, query=query
        )
        alone = answer.json()
        for field in ("decision", "images"):
            assert item[field] == alone[field]
        for ours, theirs in zip(item["predictions"], alone["predictions"], strict=True):
            assert ours["class_id"] == theirs["class_id"]
            assert ours["probability"] == pytest.approx(theirs["probability"], abs=1e-4)


@pytest.mark.parametrize("way", WAYS)
def test_every_way(faces: Faces, kind: str, uploads: Path, way: str) -> None:
    content, headers = WAYS[way]
    answer = ask(faces("batch", kind), content.replace(b"{uploads}", str(uploads).encode()), headers)
    (item,) = items_of(answer)
    assert item["predictions"][0]["class_id"] == CLASS_ID
    has_name = way.startswith("multipart") or "uri" in way
    assert bool(item["name"]) == has_name


def test_what_is_wrong_with_a_photo_in_json(batch_face: Http, uploads: Path) -> None:
    content, headers = as_json(images=[base64_of(leaf()), "*", "", base64_of(leaf())[:400]])
    items = items_of(ask(batch_face, content, headers))
    assert codes(items) == [None, "invalid_base64", "empty_image", "unreadable_image"]
    uris = [f"{uploads}/leaf.jpg", f"{uploads}/gone.jpg", "s3://other/leaf.jpg", "/etc/passwd", f"{uploads}/../x.jpg"]
    items = items_of(ask(batch_face, *as_json(image_uris=uris)))
    assert codes(items) == [None, "image_not_found", *["uri_not_allowed"] * 3]
    assert [item["name"] for item in items] == uris


def test_more_than_64(batch_face: Http) -> None:
    assert len(items_of(ask(batch_face, *form(*[leaf()] * 64, field="images")))) == 64
    for content, headers in (
        form(*[leaf()] * 65),
        as_json(images=["x"] * 65),
        as_json(image_uris=["s3://a/b"] * 65),
        (zipped({f"{n}.jpg": b"" for n in range(65)}), ZIP),
        several([("a.zip", zipped({f"{n}.jpg": b"" for n in range(40)})), *[("x", leaf())] * 25]),
    ):
        answer = ask(batch_face, content, headers)
        assert (answer.status, answer.json()["code"]) == (413, "too_many_images")


@pytest.mark.parametrize("query", ["top_k=0", "top_k=35", "crop=Banana", "explain=true", "details=true", "x=1"])
def test_wrong_parameter(batch_face: Http, query: str) -> None:
    answer = ask(batch_face, *form(leaf()), query)
    assert (answer.status, answer.json()["code"]) == (422, "invalid_parameter")


def test_names_are_cut_and_not_logged(batch_face: Http) -> None:
    name = "private-" + "é" * 300 + ".jpg"
    (item,) = items_of(ask(batch_face, *several([(name, leaf())])))
    assert len(item["name"]) == 255
    assert item["name"].endswith("é.jpg")
    (item,) = items_of(ask(batch_face, *several([("private-2.jpg", b"x")])))
    assert item["name"] == "private-2.jpg"
    assert "private" not in batch_face.process.log()


# --- ZIP


def test_a_zip(faces: Faces, kind: str) -> None:
    files = {"a/leaf.jpg": leaf(), "__MACOSX/a/._leaf.jpg": b"fork", ".DS_Store": b"x", "b/robot.png": ROBOT, "b/": b""}
    items = items_of(ask(faces("batch", kind), zipped(files), ZIP))
    assert [(item["name"], item["decision"]) for item in items] == [
        ("a/leaf.jpg", "diagnosed"),
        ("b/robot.png", "rejected"),
    ]


def test_a_zip_in_a_form_gives_its_place_to_its_photos(batch_face: Http) -> None:
    packed = zipped({"in.jpg": leaf(), "too.txt": b"no photo"})
    items = items_of(ask(batch_face, *several([("a.jpg", leaf()), ("x.zip", packed), ("b.png", ROBOT)])))
    assert [item["name"] for item in items] == ["a.jpg", "in.jpg", "too.txt", "b.png"]
    assert codes(items) == [None, None, "unsupported_format", None]


def test_a_zip_for_one_plant_is_refused(faces: Faces) -> None:
    answer = faces("predict", "uvicorn").ask("POST", "/predict", content=zipped({"a.jpg": leaf()}), headers=ZIP)
    assert (answer.status, answer.json()["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (zipped({"inner.zip": zipped({"a.jpg": leaf()})}), 400, "archive_refused"),
        (zipped({"a.jpg": leaf(), "../b.jpg": leaf()}), 400, "archive_refused"),
        (zipped({"bomb.jpg": bytes(50_000_000)}), 413, "archive_too_large"),
        (zipped({"a.jpg": leaf()})[:-30], 400, "archive_refused"),
        (zipped({}), 400, "no_image"),
        (zipped({"folder/": b""}), 400, "no_image"),
    ],
    ids=["nested", "path", "bomb", "cut off", "empty", "folder"],
)
@pytest.mark.parametrize("way", ["raw", "form"])
def test_a_zip_that_is_refused(batch_face: Http, content: bytes, status: int, code: str, way: str) -> None:
    body, headers = (content, ZIP) if way == "raw" else several([("x.zip", content)])
    answer = ask(batch_face, body, headers)
    assert (answer.status, answer.json()["code"]) == (status, code)
    assert len(answer.content) < 1000


def test_no_zip_at_all(batch_face: Http) -> None:
    for content in (b"", b"PK", leaf()):
        answer = ask(batch_face, content, ZIP)
        assert (answer.status, answer.json()["code"]) == (400, "archive_refused")


# --- Formats


def test_lines_as_they_are_ready(batch_face: Http, schema: schemathesis.BaseSchema) -> None:
    """The first line is there before the last photo is decoded."""
    url = f"{batch_face.process.url}/batch"
    content, headers = several([*MIXED, *[(f"{n}.png", huge()) for n in range(10)]])
    seen = []
    with httpx.stream(
        "POST", url, content=content, headers={**headers, **LINES}, timeout=60, trust_env=False
    ) as answer:
        assert answer.headers["content-type"] == "application/x-ndjson"
        seen = [(time.monotonic(), json.loads(line)) for line in answer.iter_lines()]
    *items, (ended, last) = seen
    assert last["summary"] == {"total": 16, "succeeded": 13, "failed": 3}
    assert set(last) == {"request_id", "model", "summary"}
    assert sorted(item["index"] for _, item in items) == list(range(16))
    by_index = sorted((item for _, item in items), key=lambda item: item["index"])
    assert codes(by_index) == CODES + [None] * 10
    assert ended - items[0][0] > 0.2, "ten photos of 12 MP take longer than the first line may"
    logged = batch_face.process.log_line(last["request_id"])
    assert (logged["photos"], logged["failed"], logged["status"]) == (16, 3, 200)


def test_a_table(faces: Faces, kind: str) -> None:
    content, headers = several([("=1+1.jpg", leaf()), ("a,b;'c.jpg", b"x"), ("@é.png", ROBOT)])
    answer = ask(faces("batch", kind), content, {**headers, "accept": "text/csv"})
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    text = answer.content.decode("utf-8")
    assert text.startswith("\ufeffindex,name,status,")
    rows = list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"), newline="")))
    assert [row["index"] for row in rows] == ["0", "1", "2"]
    assert rows[0]["name"] == "'=1+1.jpg"
    assert rows[1]["name"] == "a,b;'c.jpg"
    assert rows[2]["name"] == "'@é.png"
    assert rows[0]["class_id"] == CLASS_ID
    assert rows[1]["error"] == "unsupported_format"
    assert rows[2]["decision"] == "rejected"
    assert all(None not in row for row in rows), "every row has as many cells as the first"


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("", "application/json"),
        ("*/*", "application/json"),
        ("text/*", "text/csv"),
        ("text/html, */*;q=0.8", "application/json"),
        ("text/csv;q=0.5, application/x-ndjson;q=0.6", "application/x-ndjson"),
        ("application/*;q=0.1, text/csv", "text/csv"),
        ("application/x-ndjson;q=0, */*", "application/json"),
        ("image/png", "application/json"),
        ("text/csv;q=x", "application/json"),
        ("text/csv;q=nan", "application/json"),
        (",;q=,/;,", "application/json"),
    ],
)
def test_what_the_client_accepts(batch_face: Http, accept: str, media_type: str) -> None:
    content, headers = form(leaf())
    answer = ask(batch_face, content, {**headers, "accept": accept})
    assert answer.headers["content-type"].partition(";")[0] == media_type


@pytest.mark.parametrize("kind", EVENT_KINDS)
def test_every_gateway_before_lambda(faces: Faces, kind: EventKind) -> None:
    emulator = Lambda(faces("batch", "lambda").process)
    content, headers = several(MIXED)
    answer = emulator.invoke(event(kind, "POST", "/batch", content, headers, "top_k=1"))
    assert codes(items_of(answer)) == CODES
    # Collected on the way, and still one line for each photo.
    lines = emulator.invoke(event(kind, "POST", "/batch", content, {**headers, **LINES})).content.splitlines()
    assert [json.loads(line).get("summary") for line in lines][-1] == {"total": 6, "succeeded": 3, "failed": 3}
    assert len(lines) == 7


# --- Buckets


@pytest.fixture(scope="module")
def bucket_face(
    folder: Path, request: pytest.FixtureRequest, moto_url: str, gcs_url: str
) -> Iterator[tuple[Http, str]]:
    if request.param == "s3":
        client = boto3.client(
            "s3",
            endpoint_url=moto_url,
            region_name=REGION,
            aws_access_key_id=AWS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=AWS["AWS_SECRET_ACCESS_KEY"],
        )
        location = {"LocationConstraint": REGION}
        client.create_bucket(Bucket="batch-uploads", CreateBucketConfiguration=location)  # type: ignore[arg-type]
        client.put_object(Bucket="batch-uploads", Key="in/leaf.jpg", Body=leaf())
        client.put_object(Bucket="batch-uploads", Key="in/large.jpg", Body=LARGE)
        settings = {"AWS_ENDPOINT_URL_S3": moto_url, **AWS}
    else:
        httpx.post(f"{gcs_url}/storage/v1/b", json={"name": "batch-uploads"}, trust_env=False).raise_for_status()
        for name, photo in (("leaf", leaf()), ("large", LARGE)):
            upload = f"{gcs_url}/upload/storage/v1/b/batch-uploads/o?uploadType=media&name=in/{name}.jpg"
            httpx.post(upload, content=photo, trust_env=False).raise_for_status()
        settings = {"STORAGE_EMULATOR_HOST": gcs_url}
    uri = f"{request.param}://batch-uploads/in"
    with processes.serve(folder, PLANT_UPLOADS_URI=uri, **settings) as process:
        yield Http(process), uri


@pytest.mark.parametrize("bucket_face", ["s3", "gs"], indirect=True)
def test_uploads_in_a_bucket(bucket_face: tuple[Http, str]) -> None:
    face, uri = bucket_face
    uris = [f"{uri}/leaf.jpg", f"{uri}/gone.jpg", *[f"{uri}/leaf.jpg", f"{uri}/large.jpg"] * 20]
    items = items_of(ask(face, *as_json(image_uris=uris)))
    assert codes(items) == [None, "image_not_found", *[None] * 40]
    assert items[0]["predictions"][0]["class_id"] == CLASS_ID
    for function in ("predict", "explain"):
        content, headers = as_json(image_uri=uris[0])
        answer = face.ask("POST", f"/{function}", content=content, headers=headers)
        assert answer.json()["predictions"][0]["class_id"] == CLASS_ID


# --- Limits


def test_bytes_and_pixels_together(folder: Path) -> None:
    settings = {"PLANT_MAX_BATCH_BYTES": "200000", "PLANT_MAX_BATCH_PIXELS": "13000000", "PLANT_BATCH_CHUNK": "1"}
    with processes.uvicorn(folder, "batch", **settings, PLANT_THREADS="1") as process:
        face = Http(process)
        items = items_of(ask(face, *form(*[leaf()] * 12)))
        assert len(leaf()) * 9 < 200_000 < len(leaf()) * 10
        assert codes(items) == [None] * 9 + ["batch_too_large"] * 3
        answer = ask(face, zipped({str(n): leaf() for n in range(12)}), ZIP)
        assert (answer.status, answer.json()["code"]) == (413, "archive_too_large")
    with processes.uvicorn(folder, "batch", **(settings | {"PLANT_MAX_BATCH_BYTES": "100000000"})) as process:
        items = items_of(ask(Http(process), *form(LARGE, LARGE, leaf())))
        assert sorted(map(str, codes(items))) == ["None", "None", "batch_too_large"]
        assert "another" in next(item["problem"]["detail"] for item in items if item["status"] == "error")


def test_what_is_not_done_in_time_is_said(folder: Path) -> None:
    settings = {"PLANT_BATCH_TIMEOUT_S": "1.5", "PLANT_MODEL_LOADING": "eager", "PLANT_BATCH_CHUNK": "1"}
    with processes.uvicorn(folder, "batch", **settings, PLANT_THREADS="1") as process:
        face = Http(process)
        content, headers = form(leaf(), *[huge()] * 30)
        items = items_of(ask(face, content, headers))
        assert codes(items)[0] is None
        assert set(codes(items)[1:]) <= {None, "out_of_time"}
        problem = items[-1]["problem"]
        assert (problem["status"], problem["code"]) == (503, "out_of_time")
        lines = ask(face, content, {**headers, **LINES}).content.splitlines()
        assert len(lines) == 32
        assert json.loads(lines[-1])["summary"]["total"] == 31
        assert codes(items_of(ask(face, *form(leaf())))) == [None], "and the next one is served"


def test_64_photos_of_12_megapixels(folder: Path, uploads: Path) -> None:
    for n in range(64):
        (uploads / f"large-{n}.jpg").write_bytes(LARGE)
    (uploads / "large.png").write_bytes(huge())
    with processes.uvicorn(folder, "batch", PLANT_UPLOADS_URI=str(uploads), PLANT_BATCH_TIMEOUT_S="100") as process:
        face = Http(process)
        face_uris = as_json(image_uris=[f"{uploads}/large-{n}.jpg" for n in range(64)])
        assert codes(items_of(ask(face, *face_uris))) == [None] * 64
        assert codes(items_of(ask(face, zipped({str(n): LARGE for n in range(64)}), ZIP))) == [None] * 64
        answer = httpx.post(
            f"{process.url}/batch", json={"image_uris": [f"{uploads}/large.png"] * 64}, timeout=110, trust_env=False
        )
        assert codes(answer.json()["items"]) == [None] * 64
        assert process.peak_memory() < 600_000_000


# --- Clients that go away, and too many of them


def gone_after(process: Process, content: bytes, headers: Mapping[str, str], request_id: str, *, read: int = 0) -> None:
    """Send a batch, read this many bytes of the answer, and break the connection off."""
    lines = [f"{name}: {value}" for name, value in headers.items()]
    before_s = cpu_s(process)
    lines += [f"Content-Length: {len(content)}", f"X-Request-Id: {request_id}", "Host: x"]
    with socket.create_connection(("127.0.0.1", process.port or 0)) as connection:
        connection.sendall("\r\n".join(["POST /batch HTTP/1.1", *lines]).encode() + b"\r\n\r\n" + content)
        if read:
            connection.recv(read)
        else:
            wait_for(lambda: cpu_s(process) > before_s + 0.3, 30)
        # With a reset, as when a phone drops off the net and its operator says so.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def cpu_s(process: Process) -> float:
    fields = Path(f"/proc/{process.popen.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


@pytest.mark.parametrize("accept", ["application/json", "application/x-ndjson", "text/csv"])
def test_a_client_that_goes_away_stops_the_work(folder: Path, accept: str) -> None:
    with processes.uvicorn(folder, "batch", PLANT_MODEL_LOADING="eager", PLANT_BATCH_TIMEOUT_S="300") as process:
        face = Http(process)
        content, headers = form(*[huge()] * 20)
        before = cpu_s(process)
        assert codes(items_of(ask(face, content, headers))) == [None] * 20
        whole = cpu_s(process) - before
        before = cpu_s(process)
        streams = accept == "application/x-ndjson"
        gone_after(process, content, {**headers, "accept": accept}, "gone", read=int(streams))
        line = process.log_line("gone")
        assert line["status"] == (200 if streams else 499)
        assert codes(items_of(ask(face, *form(leaf())))) == [None]
        assert cpu_s(process) - before < 0.8 * whole
        assert "ERROR" not in process.log()


def test_too_many_batches(folder: Path) -> None:
    settings = {"PLANT_THREADS": "1", "PLANT_MAX_QUEUE": "1", "PLANT_MODEL_LOADING": "eager"}
    with processes.uvicorn(folder, "batch", **settings) as process:

        async def post(client: httpx.AsyncClient) -> httpx.Response:
            content, headers = form(*[huge()] * 6)
            return await client.post("/batch", content=content, headers=headers)

        async def flood() -> list[httpx.Response]:
            async with httpx.AsyncClient(base_url=process.url, timeout=120, trust_env=False) as client:
                return await asyncio.gather(*(post(client) for _ in range(6)))

        answers = asyncio.run(flood())
        assert {answer.status_code for answer in answers} == {200, 503}
        for answer in answers:
            if answer.status_code == 503:
                assert answer.json()["code"] == "overloaded"
                assert int(answer.headers["retry-after"]) >= 1
            else:
                assert answer.json()["summary"]["succeeded"] == 6
        assert codes(items_of(ask(Http(process), *form(leaf())))) == [None], "no place is lost"
