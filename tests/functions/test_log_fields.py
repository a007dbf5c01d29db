"""Fields by which the consoles of the clouds find and count log lines, and lead from a line to its trace."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.functions import processes
from tests.functions.faces import Face, Http, Lambda
from tests.functions.photos import as_json, leaf
from tests.functions.processes import Process

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
XRAY = "1-5759e988-bd862e3fe1be46a994272793"


@pytest.fixture(scope="module")
def google(folder: Path) -> Iterator[Http]:
    with processes.uvicorn(folder, GOOGLE_CLOUD_PROJECT="leaves-1") as process:
        yield Http(process)


def test_the_request_for_cloud_logging(google: Http) -> None:
    answer = google.ask("POST", "/v1/predict", content=leaf(), headers={"content-type": "image/jpeg"}, query="top_k=1")
    line = google.process.log_line(answer.headers["x-request-id"])
    latency = line["httpRequest"].pop("latency")
    assert line["httpRequest"] == {"requestMethod": "POST", "requestUrl": "/v1/predict", "status": 200}
    assert re.fullmatch(r"\d+\.\d{1,9}s", latency), "a Duration of protobuf in JSON"
    assert float(latency[:-1]) * 1000 == pytest.approx(line["ms"], abs=0.06)
    assert (line["route"], line["photos"]) == ("/predict", 1)
    for step in ("receive", "load", "decode", "model"):
        assert 0 <= line[f"{step}_ms"] <= line["ms"] + 0.1
    (loaded,) = [line for line in google.process.log_lines() if line["message"] == "model loaded"]
    assert loaded["cold_start_ms"] >= loaded["model_load_ms"] > 0


@pytest.mark.parametrize("sampled", [True, False])
def test_from_the_line_to_cloud_trace(google: Http, sampled: bool) -> None:
    answer = google.ask("GET", "/health/live", headers={"traceparent": f"00-{TRACE}-{PARENT}-0{int(sampled)}"})
    line = google.process.log_line(answer.headers["x-request-id"])
    assert line["logging.googleapis.com/trace"] == f"projects/leaves-1/traces/{TRACE}"
    assert line["logging.googleapis.com/spanId"] == PARENT
    assert line["logging.googleapis.com/trace_sampled"] is sampled
    assert line["trace_id"] == TRACE


def test_no_link_where_the_project_is_not_known(uvicorn_face: Http) -> None:
    answer = uvicorn_face.ask("GET", "/health/live", headers={"traceparent": f"00-{TRACE}-{PARENT}-01"})
    line = uvicorn_face.process.log_line(answer.headers["x-request-id"])
    assert line["trace_id"] == TRACE
    assert not [name for name in line if name.startswith("logging.")]


def test_a_problem_has_its_code(uvicorn_face: Http) -> None:
    content, headers = as_json(image="%")
    answer = uvicorn_face.ask("POST", "/predict", content=content, headers=headers)
    assert uvicorn_face.process.log_line(answer.headers["x-request-id"])["code"] == "invalid_base64"


def test_a_scrape_that_is_not_there_is_logged(uvicorn_face: Http) -> None:
    answer = uvicorn_face.ask("GET", "/metrics")
    assert uvicorn_face.process.log_line(answer.headers["x-request-id"])["route"] == "other"


def trace_ids(face: Face, headers: dict[str, str]) -> tuple[str, str]:
    """What the line of a request on Lambda says."""
    answer = face.ask("GET", "/health/live", headers=headers)
    line = face.process.log_line(answer.headers["x-request-id"])
    assert "httpRequest" not in line
    return line["trace_id"], line["xray_trace_id"]


W3C = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
OTHER_XRAY = "1-5f84c7a5-e7d1852db8c4fd35d88bf49a"


def test_from_the_line_to_xray(lambda_process: Process) -> None:
    face = Lambda(lambda_process)
    root = {"x-amzn-trace-id": f"Root={XRAY};Parent=53995c3f42cd8ad8;Sampled=1"}
    assert trace_ids(face, root) == (XRAY.replace("-", "")[1:], XRAY)
    assert trace_ids(face, {**root, **W3C}) == (TRACE, f"1-{TRACE[:8]}-{TRACE[8:]}")
    malformed = face.ask("GET", "/health/live", headers={"x-amzn-trace-id": "Root=;;=;é"})
    assert "trace_id" not in lambda_process.log_line(malformed.headers["x-request-id"])


def test_the_variable_of_lambda(folder: Path) -> None:
    # The emulator passes no trace on, so this is a server that believes it is a function.
    variables = {"AWS_LAMBDA_FUNCTION_NAME": "leaves", "_X_AMZN_TRACE_ID": f"Root={XRAY};Parent={PARENT};Sampled=0"}
    with processes.uvicorn(folder, **variables) as process:
        face = Http(process)
        assert trace_ids(face, {})[1] == XRAY
        assert trace_ids(face, {"x-amzn-trace-id": f"Self={OTHER_XRAY};Root={OTHER_XRAY}"})[1] == XRAY
        assert trace_ids(face, W3C)[0] == TRACE, "a caller that says more is believed first"


def test_a_load_balancers_header(uvicorn_face: Http) -> None:
    answer = uvicorn_face.ask("GET", "/health/live", headers={"x-amzn-trace-id": f"Root={XRAY}"})
    line = uvicorn_face.process.log_line(answer.headers["x-request-id"])
    assert line["trace_id"] == XRAY.replace("-", "")[1:]
