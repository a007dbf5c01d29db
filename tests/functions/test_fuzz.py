"""Whatever comes in, what goes out is an answer or a problem, and soon: no 5xx, nothing over 5 seconds."""

import io
import json
import string
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from functions.batch.routes import router as batch
from functions.explain.routes import router as explain
from functions.predict.routes import router as predict
from plant_disease.service.app import create_app
from tests.functions import processes
from tests.functions.photos import MEDIA_TYPES, base64_of, form, leaf
from tests.functions.processes import ROOT, Process

MOST_S = 5.0
TYPES = ["image/jpeg", "image/png", "image/webp", "application/json", "multipart/form-data; boundary=edge"]
PHOTOS = [leaf(kind) for kind in MEDIA_TYPES] + [(ROOT / "tests/photos/gradient.webp").read_bytes()]

# The same examples in every run: a suite that fails by chance is soon not believed.
settings.register_profile(
    "functions",
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
)
bounded = settings(settings.get_profile("functions"), max_examples=300)


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Process]:
    with processes.serve(folder, PLANT_MODEL_LOADING="eager", PLANT_BODY_TIMEOUT_S="4") as process:
        # The first question that needs torch loads it, for seconds.
        first = f"{process.url}/explain?method=gradcam"
        httpx.post(first, content=leaf(), headers={"content-type": "image/jpeg"}, timeout=120, trust_env=False)
        yield process
        assert '"severity": "ERROR"' not in process.log()


@pytest.fixture(scope="module")
def client(server: Process) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=MOST_S, trust_env=False) as client:
        yield client


def check(answer: httpx.Response, statuses: set[int] | None = None) -> httpx.Response:
    assert answer.status_code < 500, answer.text
    assert answer.elapsed.total_seconds() < MOST_S
    if answer.status_code >= 400:
        assert answer.headers["content-type"] == "application/problem+json"
        problem = answer.json()
        assert problem["status"] == answer.status_code
        assert problem["code"] != "internal_error"
        assert len(answer.content) < 5_000
    if statuses:
        assert answer.status_code in statuses, answer.text
    return answer


paths = st.sampled_from(["/predict", "/explain", "/predict?explain=true", "/batch"])


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A real photo with a few bytes changed, left out, doubled or cut off."""
    data = bytearray(draw(st.sampled_from(PHOTOS)))
    for _ in range(draw(st.integers(1, 6))):
        # Headers are where it hurts most.
        at = draw(st.integers(0, min(len(data), 700)) | st.integers(0, len(data)))
        match draw(st.sampled_from(["set", "insert", "delete", "copy", "cut"])):
            case "set":
                data[at : at + 1] = draw(st.binary(min_size=1, max_size=1) | st.sampled_from([b"\0", b"\xff", b"\x80"]))
            case "insert":
                data[at:at] = draw(st.binary(max_size=40))
            case "delete":
                del data[at : at + draw(st.integers(1, 2000))]
            case "copy":
                data[at:at] = data[at : at + draw(st.integers(1, 2000))]
            case "cut":
                del data[at:]
    return bytes(data)


@bounded
@given(damaged(), paths)
def test_damaged_photos(client: httpx.Client, photo: bytes, path: str) -> None:
    check(client.post(path, content=photo, headers={"content-type": "image/jpeg"}), {200, 400, 413, 415})


HEADS = [b"", b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"RIFF\xff\xff\xff\xffWEBPVP8 ", b"RIFF\0\0\0\0WEBPVP8X"]


@bounded
@given(st.sampled_from(HEADS), st.binary(max_size=2000), st.sampled_from(TYPES))
def test_noise(client: httpx.Client, head: bytes, noise: bytes, media_type: str) -> None:
    check(client.post("/predict", content=head + noise, headers={"content-type": media_type}), {400, 413, 415})


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=50)
    | st.sampled_from(["", "gs://a/b", "s3://a/b", "data:image/png;base64,", base64_of(leaf())[:400], "\0", "=" * 10]),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=10), inner, max_size=5),
    max_leaves=10,
)
fields = st.sampled_from(["image", "images", "image_uri", "image_uris", "photo"])


@bounded
@given(st.dictionaries(fields, values, max_size=3) | values, st.sampled_from(["/predict", "/batch"]))
def test_wrong_json(client: httpx.Client, document: object, path: str) -> None:
    # With NaN and Infinity as they are, and half surrogate pairs escaped: Python writes what JSON does not know.
    answer = client.post(path, content=json.dumps(document), headers={"content-type": "application/json"})
    check(answer, {400, 403, 413, 415} if path == "/predict" else {200, 400, 413})


GOOD = json.dumps(base64_of(leaf())).encode()
JSON = {
    "deep list": b"[" * 100_000,
    "deep list in a field": b'{"images": ' + b"[" * 5_000_000,
    "deep object": b'{"image":' * 100_000,
    "deep and closed": b'{"images": ' + b"[" * 900 + b"]" * 900 + b"}",
    "huge number": b'{"image": ' + b"9" * 5_000_000 + b"}",
    "huge exponent": b'{"image": 1e999999999}',
    "a million values": b'{"images": [' + b"1," * 15_000_000 + b"1]}",
    "a million strings": b'{"images": [' + b'"",' * 10_000_000 + b'""]}',
    "a million fields": b"{" + b",".join(b'"%d":1' % i for i in range(2_000_000)) + b"}",
    "same field twice": b'{"image": ' + GOOD + b', "image": 1}',
    "invalid UTF-8": b'{"image": "\xff\xfe"}',
    "invalid UTF-8 in a name": b'{"\xff": 1}',
    "overlong UTF-8": b'{"image": "\xc0\x80"}',
    "half a surrogate pair": b'{"image": "\\ud800"}',
    "half a pair in a name": b'{"\\ud800": 1}',
    "half a pair in a uri": b'{"image_uri": "s3://\\udfff/x"}',
    "NUL in a uri": b'{"image_uri": "s3://a/\\u0000"}',
    "UTF-16": '{"image": ""}'.encode("utf-16"),
    "BOM": b"\xef\xbb\xbf{}",
    "long name": b'{"' + b"x" * 1_000_000 + b'": 1}',
    "long uri": b'{"image_uri": "' + b"x" * 1_000_000 + b'"}',
    "30 MB that is no base64": b'{"image": "' + b"*" * 30_000_000 + b'"}',
    "30 MB of padding": b'{"image": "' + b"=" * 30_000_000 + b'"}',
    "30 MB of line breaks": b'{"image": "' + b"\\n" * 15_000_000 + b'"}',
    "30 MB of spaces": b" " * 30_000_000,
    "a number": b"1",
    "nothing": b"",
    "comment": b"/* */ {}",
    "NaN": b"NaN",
}


@pytest.mark.parametrize("path", ["/predict", "/batch"])
@pytest.mark.parametrize("name", JSON)
def test_hostile_json(client: httpx.Client, server: Process, name: str, path: str) -> None:
    before = server.memory()
    answer = client.post(path, content=JSON[name], headers={"content-type": "application/json; charset=utf-16"})
    check(answer, {400, 403, 413} if path == "/predict" else {200, 400, 413})
    assert server.memory() - before < 250_000_000


@st.composite
def damaged_zip(draw: st.DrawFn) -> bytes:
    """A ZIP with a leaf and a text in it, with a few bytes changed, left out or doubled."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", draw(st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]))) as archive:
        archive.writestr("leaf.jpg", leaf())
        archive.writestr("é.txt", "no photo")
    data = bytearray(packed.getvalue())
    for _ in range(draw(st.integers(1, 4))):
        # The names, sizes and offsets stand at the end, and again before each file.
        at = draw(st.integers(max(0, len(data) - 250), len(data)) | st.integers(0, 60) | st.integers(0, len(data)))
        match draw(st.sampled_from(["set", "insert", "delete"])):
            case "set":
                data[at : at + 1] = draw(st.binary(min_size=1, max_size=1) | st.sampled_from([b"\0", b"\xff", b"/"]))
            case "insert":
                data[at:at] = draw(st.binary(max_size=20))
            case "delete":
                del data[at : at + draw(st.integers(1, 50))]
    return bytes(data)


@bounded
@given(damaged_zip())
def test_damaged_zip(client: httpx.Client, data: bytes) -> None:
    check(client.post("/batch", content=data, headers={"content-type": "application/zip"}), {200, 400, 413})


part_headers = st.sampled_from(
    [
        b'Content-Disposition: form-data; name="image"; filename="a.jpg"',
        b'Content-Disposition: form-data; name="image"',
        b'Content-Disposition: form-data; filename="a.jpg"',
        b'Content-Disposition: form-data; name="image"; filename="../../etc/passwd"',
        b'Content-Disposition: form-data; name="image"; filename="\0\xff\r"',
        b"Content-Disposition: form-data; name=image; filename*=utf-8''%ff%00",
        b"Content-Disposition: form-data; name*=rot13''vzntr; filename=a",
        b'Content-Disposition: attachment; name="image"; name="image"; filename=a; filename=b',
        b'Content-Disposition: form-data; name="\xf0\x9f\x8d\x83\\""; filename="C:\\a"',
        b"Content-Disposition:",
        b"content-disposition: form-data;;;; name=image;filename=;;",
        b"Content-Type: multipart/mixed; boundary=edge",
        b"Content-Transfer-Encoding: base64",
        b"X: " + b"a" * 5000,
        b": no name",
        b"no colon",
        b"\xff\xfe: x",
    ]
)
parts = st.tuples(st.lists(part_headers, max_size=10), st.sampled_from([leaf()[:2000], b"", b"--edge", b"\r\n" * 50]))
edges = st.sampled_from(
    [b"--edge\r\n", b"--edge--\r\n", b"--edge", b"\r\n--edge\r\n", b"--other\r\n", b"", b"\n--edge\n"]
)


@bounded
@given(st.lists(st.tuples(edges, parts), max_size=6), edges, st.sampled_from(["/predict", "/batch"]))
def test_wrong_form(
    client: httpx.Client, pieces: list[tuple[bytes, tuple[list[bytes], bytes]]], last: bytes, path: str
) -> None:
    body = b"".join(edge + b"\r\n".join(heads) + b"\r\n\r\n" + data + b"\r\n" for edge, (heads, data) in pieces) + last
    check(client.post(path, content=body, headers=form()[1]), {400, 413, 415} if path == "/predict" else {200, 400})


def part(head: bytes, data: bytes) -> bytes:
    return b"--edge\r\n" + head + b"\r\n\r\n" + data + b"\r\n"


FILE = b'Content-Disposition: form-data; name="image"; filename="a"'
FORMS = {
    "truncated": form(leaf())[0][:-20],
    "thousands of files": part(FILE, b"") * 100_000,
    "thousands of fields": part(b'Content-Disposition: form-data; name="image"', b"") * 100_000,
    "thousands of headers": b"--edge\r\n" + b"A: b\r\n" * 1_000_000,
    "huge header": b"--edge\r\nContent-Disposition: " + b"a" * 30_000_000,
    "huge header name": b"--edge\r\n" + b"a" * 30_000_000,
    "huge name": part(b'Content-Disposition: form-data; filename=a; name="' + b"a" * 4000 + b'"', b""),
    "huge field": part(b'Content-Disposition: form-data; name="image"', b"a" * 5_000_000),
    "half edges": part(FILE, b"\r\n--edg" * 3_000_000),
    "line breaks": part(FILE, b"\r\n" * 5_000_000),
    "carriage returns": part(FILE, b"\r" * 10_000_000),
    "preamble": b"\r\n" * 10_000_000 + form(leaf())[0],
    "dashes": b"-" * 30_000_000,
    "epilogue": form(b"")[0] + b"a" * 30_000_000,
    "quotes": part(b"Content-Disposition: form-data; name=image; filename=" + b'"' * 4001, b""),
    "semicolons": part(b"Content-Disposition: form-data" + b";" * 4000, b""),
    "continuations": part(b"Content-Disposition: form-data; " + b"; ".join(b"name*%d=a" % i for i in range(300)), b""),
    "wrong edge": form(leaf())[0].replace(b"edge", b"ogre"),
}


@pytest.mark.parametrize("path", ["/predict", "/batch"])
@pytest.mark.parametrize("name", FORMS)
def test_hostile_form(client: httpx.Client, server: Process, name: str, path: str) -> None:
    before = server.memory()
    check(client.post(path, content=FORMS[name], headers=form()[1]), {200, 400, 413})
    assert server.memory() - before < 250_000_000
    assert client.get("/health/live").elapsed.total_seconds() < 1


PYTHON_ONLY = ["rot13", "hex", "base64", "zip", "bz2", "undefined", "idna", "punycode", "unicode_escape", "mbcs"]
CHARSETS = ["utf-7", "utf-16", "latin-1", "no-such", "", '"', "x" * 2000, "\x80"]


@pytest.mark.parametrize("charset", PYTHON_ONLY + CHARSETS)
def test_charset_is_no_command(client: httpx.Client, charset: str) -> None:
    # It would be handed to Python's codecs, some of which decompress, and some of which take quadratic time.
    headers = [(b"content-type", f"multipart/form-data; boundary=edge; charset={charset}".encode("latin-1"))]
    check(client.post("/predict", content=form(leaf())[0], headers=headers), {200})
    text = part(b'Content-Disposition: form-data; name="image"', b"a" * 1_000_000) + b"--edge--\r\n"
    check(client.post("/predict", content=text, headers=headers), {400})


BOUNDARIES = ["", ";", '""', '"', "é", "x" * 257, "x" * 5000, "a\\b", '"a\\"b"', "%00", "=?utf-8?q?edge?="]


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("name", ["boundary", "BOUNDARY", "boundary*", "boundary*0"])
def test_wrong_boundary(client: httpx.Client, name: str, boundary: str) -> None:
    headers = [(b"content-type", f"multipart/form-data; {name}={boundary}".encode("latin-1"))]
    answer = check(client.post("/predict", content=form(leaf())[0], headers=headers), {400})
    assert answer.json()["code"] in ("invalid_form", "no_image")


NAMES = ["top_k", "crop", "TOP_K", "crop[]", "", "target", "contrast", "format", "alpha", "colormap", "layer", "method"]
VALUES = ["1", "nan", "-inf", "1e-320", "cam", "png", "heatmap", "viridis", "backbone", "Apple___healthy", "true"]
printable = st.text(string.printable + "äß中🍃\0\x85\u2028", max_size=30)


@bounded
@given(
    st.sampled_from(["predict", "explain", "batch"]),
    st.lists(st.tuples(st.sampled_from(NAMES) | printable, st.sampled_from(VALUES) | printable), max_size=4),
)
def test_odd_query(client: httpx.Client, function: str, pairs: list[tuple[str, str]]) -> None:
    query = "&".join(f"{quote(name)}={quote(value)}" for name, value in pairs)
    answer = client.post(f"/{function}?{query}", content=leaf(), headers={"content-type": "image/jpeg"})
    check(answer, {200, 422})


QUERIES = ["%", "%ff=%fe", "&&&", "=&=", "?", "top_k", "top_k[]=1", ";", "%00", "&".join("a" * 4000)]


@pytest.mark.parametrize("query", QUERIES)
def test_hostile_query(client: httpx.Client, query: str) -> None:
    check(client.post(f"/predict?{query}", content=leaf(), headers={"content-type": "image/jpeg"}), {200, 422})


def header_values() -> st.SearchStrategy[bytes]:
    return st.text([chr(c) for c in (*range(0x20, 0x7F), *range(0x80, 0x100))], max_size=80).map(
        lambda text: text.strip(" \xa0\x85").encode("latin-1")
    )


names = [
    b"content-type",
    b"x-request-id",
    b"traceparent",
    b"accept",
    b"accept-encoding",
    b"authorization",
    b"x-api-key",
]
more = [b"cookie", b"content-encoding", b"range", b"origin", b"x-forwarded-for", b"x-forwarded-proto", b"if-none-match"]


@bounded
@given(st.dictionaries(st.sampled_from(names + more), header_values(), max_size=5))
def test_odd_headers(client: httpx.Client, headers: dict[bytes, bytes]) -> None:
    try:
        answer = client.post("/predict", content=leaf(), headers={b"content-type": b"image/jpeg", **headers})
    except httpx.LocalProtocolError:
        assume(False)
    check(answer, {200, 400, 415})


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "HEAD", "BREW"])
@pytest.mark.parametrize(
    "path", ["/predict", "/explain", "/batch", "/classes", "/docs", "/", "/%2e%2e/%2e%2e/etc/passwd", "/" + "a" * 5000]
)
def test_odd_methods(client: httpx.Client, method: str, path: str) -> None:
    answer = client.request(method, path)
    assert answer.status_code in (200, 404, 405)


# --- What /openapi.json promises, and what it leaves to be guessed

UNKNOWABLE = [schemathesis.checks.positive_data_acceptance, schemathesis.checks.ignored_auth]
"""No schema can say that a string is the base64 of a leaf, nor that this very service asks for no key."""


schemathesis.serializer.alias("application/zip", "application/octet-stream")
REFUSALS = ["400", "401", "403", "404", "405", "408", "413", "415", "422", "429", "5xx"]
"""What may be said of a request that breaks the schema: it may break a limit as well."""
schema = schemathesis.openapi.from_dict(
    create_app(predict, batch, explain).openapi(),
    config=schemathesis.Config.from_dict({"checks": {"negative_data_rejection": {"expected-statuses": REFUSALS}}}),
)


@schema.parametrize()
@settings(settings.get_profile("functions"), max_examples=100)
def test_openapi(case: "schemathesis.Case[Any]", server: Process) -> None:
    start = time.monotonic()
    answer = case.call(base_url=server.url)
    assert time.monotonic() - start < MOST_S
    case.validate_response(answer, excluded_checks=UNKNOWABLE)
