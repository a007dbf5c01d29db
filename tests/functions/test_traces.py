"""Spans, as a collector gets them."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import pytest

from tests.functions import processes
from tests.functions.collector import Collector, Span
from tests.functions.faces import Face, Http, Lambda
from tests.functions.photos import as_json, base64_of, form, leaf
from tests.functions.processes import Process, wait_for
from tests.servers import FaultyProxy

JPEG = {"content-type": "image/jpeg"}
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SERVER = 2
SECRET = "pdd_live_hunter2"

Start = Callable[..., AbstractContextManager[Process]]
STARTS: dict[str, Start] = {
    "uvicorn": processes.uvicorn,
    "functions-framework": processes.functions_framework,
    "lambda": processes.lambda_emulator,
}


def traced(url: str, delay_ms: int = 20, **settings: str) -> dict[str, str]:
    """Settings of a service whose spans go there."""
    standard = {"OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_BSP_SCHEDULE_DELAY": str(delay_ms), "NO_PROXY": "127.0.0.1"}
    return {"PLANT_TRACES": "otlp", **standard, **settings}


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with Collector() as collector:
        yield collector


@pytest.fixture(scope="module")
def started(folder: Path, uploads: Path, collector: Collector) -> Iterator[dict[str, Face]]:
    """Each face of predict, with traces."""
    settings = traced(collector.url, PLANT_UPLOADS_URI=str(uploads), OTEL_EXPORTER_OTLP_HEADERS=f"api-key={SECRET}")
    with ExitStack() as stack:
        running = {kind: stack.enter_context(start(folder, **settings)) for kind, start in STARTS.items()}
        faces = {kind: Lambda(each) if kind == "lambda" else Http(each) for kind, each in running.items()}
        for face in faces.values():
            assert face.ask("GET", "/classes").status == 200
        yield faces


@pytest.fixture(params=STARTS)
def face(request: pytest.FixtureRequest, started: dict[str, Face]) -> Face:
    return started[request.param]


@pytest.fixture
def own_id(request: pytest.FixtureRequest) -> str:
    """A request id of this test's own."""
    return "".join(letter if letter.isalnum() else "-" for letter in request.node.name)


def spans_of(collector: Collector, request_id: str) -> tuple[Span, list[Span]]:
    """The span of a request, and those inside; waits for them."""
    wait_for(lambda: collector.trace(request_id), 20)
    trace = collector.trace(request_id)
    (request,) = [span for span in trace if span.attributes.get("plant.request_id") == request_id]
    return request, [span for span in trace if span is not request]


def ask(face: Face, request_id: str, *, photo: bytes = b"", path: str = "/predict", **headers: str) -> Any:
    headers = {**JPEG, "x-request-id": request_id, **headers}
    return face.ask("POST", path, content=photo or leaf(), headers=headers)


def test_a_diagnosis(face: Face, own_id: str, collector: Collector) -> None:
    before = time.time_ns()
    assert ask(face, own_id, path="/v1/predict").status == 200
    request, steps = spans_of(collector, own_id)
    assert (request.name, request.kind, request.parent_id) == ("POST /predict", SERVER, "")
    expected = {"http.request.method": "POST", "http.route": "/predict", "http.response.status_code": 200}
    assert {**expected, "plant.decision": "diagnosed", "plant.photos": 1}.items() <= request.attributes.items()
    assert "plant.model_version" in request.attributes
    assert [step.name for step in steps] == ["receive", "decode", "model"]
    assert before <= request.start_ns
    assert request.end_ns <= time.time_ns()
    for step in steps:
        assert step.parent_id == request.span_id
        assert request.start_ns <= step.start_ns <= step.end_ns <= request.end_ns
        assert not step.is_error
    assert all(one.end_ns <= other.start_ns for one, other in pairwise(steps)), "one after another"
    line = face.process.log_line(own_id)
    assert line["trace_id"] == request.trace_id


def test_a_trace_is_continued(face: Face, own_id: str, collector: Collector) -> None:
    ask(face, own_id, traceparent=f"00-{TRACE}-{PARENT}-01")
    request, steps = spans_of(collector, own_id)
    assert (request.trace_id, request.parent_id) == (TRACE, PARENT)
    assert len([step for step in steps if step.parent_id == request.span_id]) == 3


def test_whoever_began_it_may_not_want_it(face: Face, own_id: str, collector: Collector) -> None:
    ask(face, f"{own_id}-unwanted", traceparent=f"00-{TRACE[::-1]}-{PARENT}-00")
    ask(face, f"{own_id}-wanted")
    spans_of(collector, f"{own_id}-wanted")
    assert collector.trace(f"{own_id}-unwanted") == []
    assert face.process.log_line(f"{own_id}-unwanted")["trace_id"] == TRACE[::-1]


def test_xray(started: dict[str, Face], own_id: str, collector: Collector) -> None:
    xray = f"Root=1-{TRACE[:8]}-{TRACE[8:]};Parent={PARENT};Sampled=1"
    ask(started["lambda"], own_id, **{"x-amzn-trace-id": xray})
    request, _ = spans_of(collector, own_id)
    assert (request.trace_id, request.parent_id) == (TRACE, PARENT)
    assert started["lambda"].process.log_line(own_id)["xray_trace_id"] == f"1-{TRACE[:8]}-{TRACE[8:]}"


def test_the_answer_waits_for_the_spans_where_the_process_is_frozen_after_it(
    started: dict[str, Face], own_id: str, collector: Collector
) -> None:
    for number in range(5):
        ask(started["lambda"], f"{own_id}-{number}")
        assert len(collector.trace(f"{own_id}-{number}")) == 4, "there already"


def test_a_problem(face: Face, own_id: str, collector: Collector) -> None:
    assert ask(face, own_id, photo=b"no photo").status == 415
    request, steps = spans_of(collector, own_id)
    assert request.attributes["http.response.status_code"] == 415
    assert request.attributes["plant.code"] == "unsupported_format"
    assert not request.is_error, "the caller's fault"
    assert [(step.name, step.is_error, step.attributes.get("error.type")) for step in steps] == [
        ("receive", False, None),
        ("decode", True, "Problem"),
    ]


def test_a_fault(folder: Path, tmp_path: Path, collector: Collector, own_id: str) -> None:
    with processes.uvicorn(folder, **traced(collector.url, PLANT_MODEL_URI=str(tmp_path))) as process:
        assert ask(Http(process), own_id).status == 503
        request, steps = spans_of(collector, own_id)
        wait_for(lambda: [span for span in loads(collector) if span.is_error], 20)
    assert request.is_error
    assert request.attributes["error.type"] == "model_unavailable"
    assert [(step.name, step.is_error) for step in steps] == [("receive", False), ("load", True)]


def loads(collector: Collector) -> list[Span]:
    return [span for span in collector.spans() if span.name == "model_load"]


def test_a_load_of_the_model(folder: Path, collector: Collector, own_id: str) -> None:
    before = len(loads(collector))
    with processes.uvicorn(folder, **traced(collector.url)) as process:
        ask(Http(process), own_id)
        request, steps = spans_of(collector, own_id)
        wait_for(lambda: len(loads(collector)) > before, 20)
    load = loads(collector)[-1]
    inside = sorted((span for span in collector.spans() if span.parent_id == load.span_id), key=lambda s: s.start_ns)
    assert [step.name for step in inside][:3] == ["channel_read", "storage_read", "runtime"]
    assert load.attributes["plant.model_version"] == request.attributes["plant.model_version"]
    assert load.trace_id != request.trace_id
    assert [step.name for step in steps] == ["receive", "load", "decode", "model"]
    assert steps[1].start_ns <= load.start_ns
    assert "channel_read" not in [span.name for span in collector.spans() if not span.parent_id]


def test_uploads_and_explanations(started: dict[str, Face], own_id: str, uploads: Path, collector: Collector) -> None:
    content, headers = as_json(image_uris=[f"{uploads}/leaf.jpg"] * 2)
    headers = {**headers, "x-request-id": own_id}
    started["uvicorn"].ask("POST", "/predict", content=content, headers=headers, query="explain=true")
    _, steps = spans_of(collector, own_id)
    assert sorted(step.name for step in steps) == [
        "decode",
        "explain",
        "model",
        "receive",
        "storage_read",
        "storage_read",
    ]


def test_nothing_private_is_sent(face: Face, own_id: str, collector: Collector) -> None:
    content, headers = form(leaf(), name="my-private-garden.jpg")
    headers = {**headers, "x-api-key": SECRET, "authorization": f"Bearer {SECRET}", "cookie": SECRET}
    face.ask("POST", "/predict", content=content, headers={**headers, "x-request-id": own_id}, query="crop=Apple")
    face.ask("GET", f"/{SECRET}", query=f"key={SECRET}", headers={"x-request-id": f"{own_id}-nothing"})
    nothing, _ = spans_of(collector, f"{own_id}-nothing")
    assert (nothing.name, nothing.attributes["http.route"]) == ("GET other", "other")
    spans_of(collector, own_id)
    sent = "".join(span.raw + str(span.resource) for span in collector.spans())
    for private in (SECRET, "hunter", "garden", "crop=", "192.0.2.1", base64_of(leaf())[:20]):
        assert private not in sent
    assert collector.headers[-1]["api-key"] == SECRET
    assert "api-key" not in face.process.log()


def test_probes_are_not_traced(started: dict[str, Face], own_id: str, collector: Collector) -> None:
    face = started["uvicorn"]
    for path in ("/health/live", "/v1/health/ready"):
        face.ask("GET", path, headers={"x-request-id": f"{own_id}-probe"})
    ask(face, own_id)
    spans_of(collector, own_id)
    assert collector.trace(f"{own_id}-probe") == []


def test_the_service_is_named(started: dict[str, Face], folder: Path, collector: Collector, own_id: str) -> None:
    for kind, name in {"uvicorn": "plant-disease", "lambda": "test_function"}.items():
        ask(started[kind], f"{own_id}-{kind}")
        request, _ = spans_of(collector, f"{own_id}-{kind}")
        assert request.resource["service.name"] == name
        assert request.resource["service.version"]
    named = {"OTEL_SERVICE_NAME": "leaves", "OTEL_RESOURCE_ATTRIBUTES": "service.version=7,where=here"}
    with processes.uvicorn(folder, **traced(collector.url, **named)) as process:
        ask(Http(process), own_id)
        request, _ = spans_of(collector, own_id)
    assert {"service.name": "leaves", "service.version": "7", "where": "here"}.items() <= request.resource.items()


@pytest.mark.parametrize("start", [processes.uvicorn, processes.serve])
def test_nothing_is_lost_at_shutdown(start: Callable[..., Any], folder: Path, own_id: str) -> None:
    with Collector() as collector:
        with start(folder, **traced(collector.url, delay_ms=3_600_000)) as process:
            ask(Http(process), own_id)
            assert collector.trace(own_id) == []
            process.terminate(30)
        assert {span.name for span in collector.trace(own_id)} > {"POST /predict", "decode", "model"}


@pytest.mark.parametrize("kind", STARTS)
@pytest.mark.parametrize("mode", ["refuse", "hang"])
def test_a_collector_that_is_away_costs_spans_and_nothing_else(
    folder: Path, kind: str, mode: Literal["refuse", "hang"], own_id: str
) -> None:
    with Collector() as collector, FaultyProxy(collector.url) as proxy:
        proxy.set(mode)
        # A time limit beyond that of the test: whoever waits for the collector is found out.
        settings = traced(f"{proxy.url}/?key={SECRET}", OTEL_EXPORTER_OTLP_TIMEOUT="600", OTEL_BSP_MAX_QUEUE_SIZE="20")
        settings |= {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{proxy.url}/v1/traces?key={SECRET}"}
        settings |= {"OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "10"}
        with STARTS[kind](folder, **settings) as process:
            face: Face = Lambda(process) if kind == "lambda" else Http(process)
            for number in range(30):
                assert ask(face, f"{own_id}-{number}").status == 200
            if kind != "lambda":
                process.terminate(30)
            complaints = [line for line in process.log_lines() if "export" in line["message"]]
            assert len(complaints) == len({line["message"] for line in complaints}), "seldom"
            assert SECRET not in process.log()
            assert "Traceback" not in process.log()


def test_it_is_off_unless_told(folder: Path, own_id: str) -> None:
    with Collector() as collector:
        settings = traced(collector.url, FASTAPI_OTEL_AUTO_CONFIGURE="true")
        del settings["PLANT_TRACES"]
        with processes.uvicorn(folder, **settings) as process:
            ask(Http(process), own_id)
            process.terminate(30)
        assert collector.headers == []
        assert "trace_id" not in process.log_line(own_id)
