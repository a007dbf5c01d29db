"""Metrics in the log lines of Lambda, as CloudWatch reads them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.functions import processes
from tests.functions.faces import Lambda
from tests.functions.photos import form, leaf
from tests.functions.processes import wait_for
from tests.samples import PHOTOS

JPEG = {"content-type": "image/jpeg"}

UNITS = ["Seconds", "Milliseconds", "Count", "Percent", "Bytes", "None"]
NAME = {"type": "string", "minLength": 1, "maxLength": 255}
METRIC = {
    "type": "object",
    "required": ["Name"],
    "properties": {"Name": NAME, "Unit": {"enum": UNITS}},
    "additionalProperties": False,
}
DIRECTIVE = {
    "type": "object",
    "required": ["Namespace", "Dimensions", "Metrics"],
    "properties": {
        "Namespace": NAME,
        "Dimensions": {"type": "array", "minItems": 1, "items": {"type": "array", "maxItems": 9, "items": NAME}},
        "Metrics": {"type": "array", "minItems": 1, "maxItems": 100, "items": METRIC},
    },
    "additionalProperties": False,
}
DOCUMENT = {
    "type": "object",
    "required": ["_aws"],
    "properties": {
        "_aws": {
            "type": "object",
            "required": ["Timestamp", "CloudWatchMetrics"],
            "properties": {
                "Timestamp": {"type": "integer", "minimum": 1_600_000_000_000, "maximum": 3_000_000_000_000},
                "CloudWatchMetrics": {"type": "array", "minItems": 1, "items": DIRECTIVE},
            },
            "additionalProperties": False,
        }
    },
}
"""What the specification asks for, as far as a schema can say it.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

Extracted = dict[tuple[str, tuple[str, ...]], float]


def extracted(line: dict[str, Any]) -> Extracted:
    """What CloudWatch makes of a line: values by the name of the metric and the values of its dimensions."""
    jsonschema.validate(line, DOCUMENT)
    found: Extracted = {}
    for directive in line["_aws"]["CloudWatchMetrics"]:
        assert directive["Namespace"] == "PlantDisease"
        for names in directive["Dimensions"]:
            # References are to members at the root: strings for dimensions, numbers for metrics.
            assert all(isinstance(line[name], str) and 0 < len(line[name]) <= 1024 for name in names)
            for metric in directive["Metrics"]:
                value = line[metric["Name"]]
                assert isinstance(value, int | float)
                assert not isinstance(value, bool)
                key = (metric["Name"], tuple(line[name] for name in names))
                assert key not in found, "counted twice"
                found[key] = value
    return found


@pytest.fixture(scope="module")
def emulator(folder: Path) -> Iterator[Lambda]:
    with processes.lambda_emulator(folder, PLANT_METRICS="on") as process:
        face = Lambda(process)
        face.ask("GET", "/classes")
        yield face


@pytest.fixture(scope="module")
def function(emulator: Lambda) -> str:
    """The name that the emulator gives the function."""
    answer = emulator.ask("GET", "/health/live")
    return str(emulator.process.log_line(answer.headers["x-request-id"])["function"])


def test_a_diagnosis(emulator: Lambda, function: str) -> None:
    content, headers = form(leaf(), leaf("PNG"))
    answer = emulator.ask("POST", "/v1/predict", content=content, headers=headers)
    line = emulator.process.log_line(answer.headers["x-request-id"])
    values = extracted(line)
    route = (function, "/predict")
    assert values["ms", route] == values["ms", (*route, "2xx")] == line["ms"] > 0
    for step in ("receive_ms", "decode_ms", "model_ms"):
        assert 0 <= values[step, route] <= line["ms"]
    assert values["photos", route] == 2
    assert values["diagnosed", route] == 1
    assert ("rejected", route) not in values
    assert 0 <= values["channel_age_s", (function,)] < 600
    # It is a log line as everywhere else.
    assert {"method": "POST", "path": "/v1/predict", "status": 200, "decision": "diagnosed"}.items() <= line.items()


def test_a_rejection(emulator: Lambda, function: str) -> None:
    answer = emulator.ask("POST", "/predict", content=(PHOTOS / "robot.png").read_bytes(), headers=JPEG)
    assert answer.json()["decision"] == "rejected"
    values = extracted(emulator.process.log_line(answer.headers["x-request-id"]))
    assert values["rejected", (function, "/predict")] == 1


def test_a_problem(emulator: Lambda, function: str) -> None:
    answer = emulator.ask("POST", "/predict", content=b"no photo", headers=JPEG)
    values = extracted(emulator.process.log_line(answer.headers["x-request-id"]))
    route = (function, "/predict")
    assert values["ms", route] == values["ms", (*route, "4xx")] == values["ms", (*route, "unsupported_format")]


def test_nobody_can_make_many_metrics(emulator: Lambda, function: str) -> None:
    answer = emulator.ask("GET", "/made/up", headers={"x-request-id": "made-up"}, query="key=hunter2")
    line = emulator.process.log_line(answer.headers["x-request-id"])
    dimensions = {name for _, names in extracted(line) for name in names}
    assert dimensions == {function, "other", "4xx", "not_found"}
    assert "hunter2" not in str(line)


def test_a_cold_start(emulator: Lambda, function: str) -> None:
    (line,) = [line for line in emulator.process.log_lines() if line["message"] == "model loaded"]
    values = extracted(line)
    assert 0 < values["model_load_ms", (function,)] <= values["cold_start_ms", (function,)]


def test_a_model_that_cannot_be_loaded(folder: Path, tmp_path: Path) -> None:
    with processes.lambda_emulator(folder, PLANT_METRICS="on", PLANT_MODEL_URI=str(tmp_path)) as process:
        answer = Lambda(process).ask("GET", "/classes")
        assert answer.json()["code"] == "model_unavailable"
        said = "the model could not be loaded"
        wait_for(lambda: [line for line in process.log_lines() if line["message"].startswith(said)], 5)
        (failure,) = [line for line in process.log_lines() if line["message"].startswith(said)]
        values = extracted(process.log_line(answer.headers["x-request-id"]))
    assert [*extracted(failure).items()] == [(("model_load_failures", (failure["function"],)), 1)]
    assert values["ms", (failure["function"], "/classes", "model_unavailable")] > 0
    assert not any(name == "channel_age_s" for name, _ in values)


def test_nothing_is_served_for_a_scraper(emulator: Lambda) -> None:
    answer = emulator.ask("GET", "/metrics")
    assert (answer.status, answer.json()["code"]) == (404, "not_found")


def test_off_unless_told(lambda_process: processes.Process) -> None:
    answer = Lambda(lambda_process).ask("GET", "/health/live")
    assert "_aws" not in lambda_process.log_line(answer.headers["x-request-id"])
