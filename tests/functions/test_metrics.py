"""What /metrics shows, read as Prometheus reads it."""

import asyncio
import json
import re
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from fastapi import APIRouter
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from plant_disease.service.app import create_app
from plant_disease.service.telemetry import record
from plant_disease.settings import Settings
from tests.functions import processes
from tests.functions.faces import Http
from tests.functions.photos import as_json, base64_of, form, leaf
from tests.functions.processes import ROOT, wait_for
from tests.functions.test_following import REFRESH_S, Models, Place
from tests.samples import PHOTOS

JPEG = {"content-type": "image/jpeg"}
SECRET = "pdd_live_hunter2"

Grows = Callable[..., None]


def read(text: str) -> dict[str, Metric]:
    """The metrics of the service by the names that they are documented under; those of the process left out."""
    families = {}
    for family in text_string_to_metric_families(text):
        if not family.name.startswith("process_"):
            families[family.name + ("_total" if family.type == "counter" else "")] = family
    return families


def value_in(families: dict[str, Metric], sample: str, **labels: str) -> float:
    """The sum of the samples of this name that have these labels."""
    samples = [each for family in families.values() for each in family.samples if each.name == sample]
    return sum(each.value for each in samples if labels.items() <= each.labels.items())


@pytest.fixture(scope="module", params=["uvicorn", "functions-framework"])
def measured(request: pytest.FixtureRequest, folder: Path, uploads: Path) -> Iterator[Http]:
    """Predict with metrics."""
    start = {"uvicorn": processes.uvicorn, "functions-framework": processes.functions_framework}[request.param]
    with start(folder, PLANT_METRICS="on", PLANT_UPLOADS_URI=str(uploads)) as process:
        yield Http(process)


def scrape(face: Http) -> dict[str, Metric]:
    answer = face.ask("GET", "/metrics")
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return read(answer.content.decode())


@pytest.fixture
def grows(measured: Http) -> Grows:
    """Waits until a value is so much larger than when the test began: requests are counted after their answers."""
    before = scrape(measured)

    def grows(by: float, sample: str, **labels: str) -> None:
        expected = value_in(before, sample, **labels) + by
        wait_for(lambda: value_in(scrape(measured), sample, **labels) == expected, 10)

    return grows


def test_requests(measured: Http, grows: Grows) -> None:
    for path in ("/predict", "/v1/predict", "/predict"):
        assert measured.ask("POST", path, content=leaf(), headers=JPEG, query="top_k=1").status == 200
    assert measured.ask("POST", "/predict", content=b"no photo", headers=JPEG).status == 415
    assert measured.ask("GET", "/predict").status == 405
    grows(3, "plant_requests_total", method="POST", path="/predict", status="200")
    grows(1, "plant_requests_total", method="POST", path="/predict", status="415")
    grows(1, "plant_requests_total", method="GET", path="/predict", status="405")
    grows(4, "plant_request_duration_seconds_count", method="POST", path="/predict")
    assert 0 < value_in(scrape(measured), "plant_request_duration_seconds_sum", method="POST", path="/predict") < 60
    grows(4, "plant_request_duration_seconds_bucket", path="/predict", method="POST", le="30.0")
    grows(1, "plant_problems_total", code="unsupported_format")
    grows(1, "plant_problems_total", code="method_not_allowed")


def test_nobody_can_make_many_series(measured: Http, grows: Grows) -> None:
    for number in range(20):
        assert measured.ask("GET", f"/nothing/{number}", query=f"key={SECRET}{number}").status == 404
    grows(20, "plant_requests_total", method="GET", path="other", status="404")
    for family in scrape(measured).values():
        assert len(family.samples) < 200
        assert all(len(label) <= 64 for sample in family.samples for label in sample.labels.values())


def test_diagnoses(measured: Http, grows: Grows) -> None:
    content, headers = form(leaf(), leaf("PNG"))
    assert measured.ask("POST", "/predict", content=content, headers=headers).json()["decision"] == "diagnosed"
    robot = (PHOTOS / "robot.png").read_bytes()
    assert measured.ask("POST", "/predict", content=robot, headers=JPEG).json()["decision"] == "rejected"
    grows(1, "plant_decisions_total", decision="diagnosed")
    grows(1, "plant_decisions_total", decision="rejected")
    grows(0, "plant_decisions_total", decision="uncertain")
    grows(3, "plant_photos_diagnosed_total")
    for step in ("receive", "decode", "model"):
        grows(2, "plant_step_duration_seconds_count", step=step)
        assert value_in(scrape(measured), "plant_step_duration_seconds_sum", step=step) > 0


def test_uploads_are_read_from_the_storage(measured: Http, grows: Grows, uploads: Path) -> None:
    content, headers = as_json(image_uris=[f"{uploads}/leaf.jpg"] * 2)
    answer = measured.ask("POST", "/predict", content=content, headers=headers)
    assert answer.status == 200
    assert "storage_read;dur=" in answer.headers["server-timing"]
    grows(2, "plant_step_duration_seconds_count", step="storage_read")


def test_model(measured: Http) -> None:
    model = measured.ask("POST", "/predict", content=leaf(), headers=JPEG).json()["model"]
    families = scrape(measured)
    assert value_in(families, "plant_model_loaded") == 1
    (info,) = families["plant_model_info"].samples
    assert info.labels == model
    assert value_in(families, "plant_model_loads_total", outcome="loaded") == 1
    assert value_in(families, "plant_model_loads_total", outcome="failed") == 0
    assert value_in(families, "plant_model_load_duration_seconds_count", outcome="loaded") == 1
    assert value_in(families, "plant_cold_start_seconds_count") == 1
    load = value_in(families, "plant_model_load_duration_seconds_sum")
    assert value_in(families, "plant_cold_start_seconds_sum") >= load - 0.05
    read_at = value_in(families, "plant_model_channel_read_timestamp_seconds", channel="stable")
    assert time.time() - 600 < read_at <= time.time()


def test_requests_in_flight(measured: Http) -> None:
    def in_flight() -> float:
        return value_in(scrape(measured), "plant_requests_in_flight")

    assert in_flight() == 1, "the scrape itself"
    with socket.create_connection(("127.0.0.1", measured.process.port or 0)) as client:
        client.sendall(b"POST /predict HTTP/1.1\r\nhost: a\r\ncontent-type: image/jpeg\r\ncontent-length: 9\r\n\r\n123")
        wait_for(lambda: in_flight() == 2, 10)
    wait_for(lambda: in_flight() == 1, 10)


def test_names_and_documents_agree(measured: Http) -> None:
    measured.ask("POST", "/predict", content=leaf(), headers=JPEG)
    families = scrape(measured)
    for name, family in families.items():
        assert re.fullmatch(r"plant_[a-z_]+", name)
        assert family.documentation
        if family.type == "histogram":
            assert name.endswith("_seconds"), "in the base unit, and named by it"
    text = (ROOT / "docs/telemetry.md").read_text()
    documented = dict(re.findall(r"^\| `(plant_\w+)` \| (\w+) \|", text, re.MULTILINE))
    assert documented == {name: family.type for name, family in families.items()}


def test_nothing_private_is_shown(measured: Http) -> None:
    content, headers = form(leaf(), name="my-private-garden.jpg")
    headers = {**headers, "x-api-key": SECRET, "authorization": f"Bearer {SECRET}", "x-request-id": "who-asked"}
    measured.ask("POST", "/predict", content=content, headers=headers, query="crop=Apple")
    measured.ask("GET", f"/{SECRET}", query=f"key={SECRET}")
    text = measured.ask("GET", "/metrics").content.decode()
    for private in (SECRET, "garden", "who-asked", "crop=", "JFIF"):
        assert private not in text


def test_scrapes_are_not_logged(measured: Http) -> None:
    answer = measured.ask("GET", "/metrics")
    again = measured.ask("GET", "/health/live")
    measured.process.log_line(again.headers["x-request-id"])
    assert not measured.process.log_lines(request_id=answer.headers["x-request-id"])


def test_off_unless_told(uvicorn_face: Http) -> None:
    answer = uvicorn_face.ask("GET", "/metrics")
    assert (answer.status, answer.json()["code"]) == (404, "not_found")


def test_batches_are_counted_photo_by_photo(folder: Path) -> None:
    with processes.serve(folder, PLANT_METRICS="on") as process:
        face = Http(process)
        content, headers = as_json(images=[base64_of(leaf()), base64_of(b"no photo"), base64_of(leaf("PNG"))])
        answer = face.ask("POST", "/batch", content=content, headers={**headers, "x-request-id": "three"})
        assert answer.json()["summary"] == {"total": 3, "succeeded": 2, "failed": 1}
        families = scrape(face)
        line = process.log_line("three")
    assert value_in(families, "plant_photos_diagnosed_total") == 2
    assert value_in(families, "plant_decisions_total", decision="diagnosed") == 2
    assert value_in(families, "plant_problems_total", code="unsupported_format") == 1
    assert value_in(families, "plant_requests_total", path="/batch", status="200") == 1
    assert (line["decisions"], line["problems"]) == ({"diagnosed": 2}, {"unsupported_format": 1})
    assert (line["photos"], line["failed"], "code" in line) == (3, 1, False)


def test_a_model_that_cannot_be_loaded(folder: Path, tmp_path: Path) -> None:
    with processes.uvicorn(
        folder, PLANT_METRICS="on", PLANT_MODEL_URI=str(tmp_path), PLANT_MODEL_RETRY_S="0"
    ) as process:
        face = Http(process)
        assert face.ask("POST", "/predict", content=leaf(), headers=JPEG).json()["code"] == "model_unavailable"
        families = scrape(face)
    assert value_in(families, "plant_model_loads_total", outcome="failed") == 1
    assert value_in(families, "plant_model_loads_total", outcome="loaded") == 0
    assert value_in(families, "plant_model_loaded") == 0
    assert value_in(families, "plant_cold_start_seconds_count") == 0
    assert families["plant_model_info"].samples == []
    assert families["plant_model_channel_read_timestamp_seconds"].samples == []


def test_an_exchanged_model(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    models = Models(tmp_path / "made")
    place = Place(str(tmp_path / "store"), {"PLANT_MODEL_CACHE": str(tmp_path / "cache"), "PLANT_METRICS": "on"})
    place.serve_from_now(models.make("1"))
    with processes.uvicorn(folder, **place.settings) as process:
        face = Http(process)
        face.ask("GET", "/classes")
        first = value_in(scrape(face), "plant_model_channel_read_timestamp_seconds")
        wait_for(lambda: value_in(scrape(face), "plant_model_channel_read_timestamp_seconds") > first, 60 * REFRESH_S)
        place.serve_from_now(models.make("2"))
        wait_for(lambda: value_in(scrape(face), "plant_model_loads_total", outcome="loaded") == 2, 60)
        families = scrape(face)
    assert [sample.labels["version"] for sample in families["plant_model_info"].samples] == ["2"]
    assert value_in(families, "plant_cold_start_seconds_count") == 1, "only the first model is one"


@pytest.mark.parametrize("limit", ["allowed", "limited", "quota", "error", SECRET, {"left": 3}, None])
def test_what_the_limiter_said(limit: object) -> None:
    router = APIRouter()

    @router.get("/limited/{name}")
    async def limited(name: str) -> None:
        record().fields["limit"] = limit

    app = create_app(router, settings=Settings(metrics="on", auth="off"))  # type: ignore[call-arg]

    async def ask() -> str:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://a") as client:
            assert (await client.get(f"/v1/limited/{SECRET}")).status_code == 200
            assert (await client.request(SECRET, f"/limited/{SECRET}")).status_code == 405
            return (await client.get("/metrics")).text

    text = asyncio.run(ask())
    families = read(text)
    known = isinstance(limit, str) and limit != SECRET
    assert value_in(families, "plant_limiter_outcomes_total") == known
    if known:
        assert value_in(families, "plant_limiter_outcomes_total", outcome=str(limit)) == 1
    assert value_in(families, "plant_requests_total", method="GET", path="/limited/{name}", status="200") == 1
    assert value_in(families, "plant_requests_total", method="other", path="/limited/{name}", status="405") == 1
    assert SECRET not in text
    assert SECRET not in json.dumps([sample.labels for family in families.values() for sample in family.samples])
