"""The container images as they run in production. Needs a Docker engine, and `make images`."""

import base64
import json
import re
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import boto3
import httpx
import pytest

from tests.functions.conftest import AWS
from tests.functions.faces import event
from tests.functions.photos import CLASS_ID, leaf
from tests.functions.processes import BIN, ROOT, free_port, wait_for
from tests.images.engine import Container, container, docker
from tests.servers import REGION, FaultyProxy

FUNCTIONS = ("predict", "batch", "explain")
JPEG = {"content-type": "image/jpeg"}
STOPS_WITHIN_S = 10


def class_id(function: str, answer: Any) -> str:
    """What a function found on one photo."""
    diagnosis = answer["items"][0] if function == "batch" else answer
    found: str = diagnosis["predictions"][0]["class_id"]
    return found


@pytest.fixture(scope="module", params=FUNCTIONS)
def function(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def service(function: str) -> Iterator[Container]:
    with container(function) as running:
        yield running


# The image


def config(function: str) -> Any:
    return json.loads(docker("inspect", "--format", "{{json .Config}}", f"plant-disease/{function}"))


def inside(function: str, *command: str) -> str:
    """What a command in the image says."""
    program, *arguments = command
    options = ("run", "--rm", "--network", "none", "--read-only", "--tmpfs", "/tmp", "--entrypoint", program)
    return docker(*options, f"plant-disease/{function}", *arguments)


@pytest.mark.parametrize("function", ["predict", "batch"])
def test_size(function: str) -> None:
    assert int(docker("inspect", "--format", "{{.Size}}", f"plant-disease/{function}")) <= 400_000_000


def test_labels(function: str) -> None:
    labels = config(function)["Labels"]
    assert function in labels["org.opencontainers.image.title"]
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert labels["org.opencontainers.image.version"] != "unknown"
    assert re.fullmatch("[0-9a-f]{40}|unknown", labels["org.opencontainers.image.revision"])
    assert labels["plant-disease.snapstart"] == "allowed"


def test_nothing_to_build_with_and_nothing_left_over(function: str) -> None:
    look = (
        "for each in gcc cc ld make git; do command -v $each; done; find / -xdev -path '*/.cache/*' 2>/dev/null; true"
    )
    assert inside(function, "sh", "-c", look) == ""
    assert inside(function, "ls", "/app/functions").split() == ["__init__.py", "__pycache__", function]


def test_no_file_of_it_can_be_written(function: str) -> None:
    assert inside(function, "find", "/app", "/opt", "-writable", "-not", "-type", "l") == ""


def test_everything_of_ours_is_compiled(function: str) -> None:
    found = inside(function, "find", "/app", "-name", "*.py*").split()
    sources = [path for path in found if path.endswith(".py")]
    assert sources
    assert len(sources) == len(found) - len(sources)


def test_what_was_left_out_is_not_missed(function: str) -> None:
    program = """
import awslambdaric.bootstrap, boto3, google.cloud.storage, prometheus_client, redis
import opentelemetry.exporter.otlp.proto.http.trace_exporter
for name in ("s3", "dynamodb", "sts", "sso", "sso-oidc"):
    boto3.client(name, region_name="eu-west-1")
"""
    inside(function, "python", "-c", program)
    assert "promote" in inside(function, "python", "-m", "plant_disease.cli", "models", "--help")


# HTTP


def test_a_diagnosis(function: str, service: Container) -> None:
    answer = httpx.post(f"{service.url}/{function}", content=leaf(), headers=JPEG, trust_env=False, timeout=60)
    assert answer.status_code == 200, answer.text
    assert class_id(function, answer.json()) == CLASS_ID


def test_without_any_privilege(service: Container) -> None:
    status = Path(f"/proc/{service.state()['Pid']}/status").read_text()
    fields = dict(line.split(":\t", 1) for line in status.splitlines())
    assert fields["Uid"].split() == ["65532"] * 4
    assert int(fields["CapEff"], 16) == int(fields["CapBnd"], 16) == 0
    assert fields["NoNewPrivs"].strip() == "1"
    written = subprocess.run(["docker", "exec", service.name, "touch", "/app/x"], check=False, capture_output=True)
    assert written.returncode != 0


def test_the_health_check_passes(service: Container) -> None:
    wait_for(lambda: service.state()["Health"]["Status"] == "healthy", 60)


def test_as_many_threads_as_the_quota(service: Container) -> None:
    program = "from plant_disease.settings import Settings; print(Settings().threads)"
    assert docker("exec", service.name, "python", "-c", program) == "1"


def test_torch_for_the_methods_that_need_it() -> None:
    with container("explain") as service:
        for method in ("gradcam", "layercam"):
            url = f"{service.url}/explain?method={method}"
            answer = httpx.post(url, content=leaf(), headers=JPEG, trust_env=False, timeout=60)
            assert answer.status_code == 200, answer.text
            assert answer.json()["explanation"]["heatmap"]["boxes"]


def test_a_model_in_a_bucket(moto_url: str) -> None:
    keys = {"aws_access_key_id": AWS["AWS_ACCESS_KEY_ID"], "aws_secret_access_key": AWS["AWS_SECRET_ACCESS_KEY"]}
    client = boto3.client("s3", endpoint_url=moto_url, region_name=REGION, **keys)
    location = {"LocationConstraint": REGION}
    client.create_bucket(Bucket="container-models", CreateBucketConfiguration=location)  # type: ignore[arg-type]
    for path in (ROOT / "models").rglob("*"):
        if path.is_file():
            client.upload_file(str(path), "container-models", str(path.relative_to(ROOT / "models")))
    environment = {"PLANT_MODEL_URI": "s3://container-models", "AWS_ENDPOINT_URL_S3": moto_url, **AWS}
    with container("predict", **environment) as service:
        answer = httpx.post(f"{service.url}/predict", content=leaf(), headers=JPEG, trust_env=False, timeout=60)
        assert class_id("predict", answer.json()) == CLASS_ID


# AWS Lambda


def test_on_lambda(function: str) -> None:
    port = free_port()
    command = [
        *("--runtime-interface-emulator-address", f"127.0.0.1:{port}"),
        *("--runtime-api-address", f"127.0.0.1:{free_port()}"),
        *("python", "-m", "plant_disease.service.container"),
    ]
    options = ("--volume", f"{BIN / 'aws-lambda-rie'}:/aws-lambda-rie:ro", "--entrypoint", "/aws-lambda-rie")
    with container(function, options=options, command=command, wait=False) as emulator:
        url = f"http://127.0.0.1:{port}/2015-03-31/functions/function/invocations"
        sent = event("http", "POST", f"/{function}", leaf(), JPEG)

        def invoked() -> httpx.Response | None:
            try:
                return httpx.post(url, json=sent, trust_env=False, timeout=60)
            except httpx.TransportError:
                return None

        wait_for(lambda: not emulator.state()["Running"] or invoked(), 60)
        answer = invoked()
        assert answer is not None
        body = answer.json()["body"]
        if answer.json()["isBase64Encoded"]:
            body = base64.b64decode(body)
        assert class_id(function, json.loads(body)) == CLASS_ID
        # Loaded before the first invocation, in the time that Lambda gives to the start.
        first = next(line for line in emulator.logs().splitlines() if '"message": "POST' in line)
        assert "load_ms" not in first


def test_lambda_ends_as_the_first_process() -> None:
    # A runtime interface that never has an invocation.
    with FaultyProxy("http://127.0.0.1:1") as api:
        api.set("hang")
        environment = {"AWS_LAMBDA_RUNTIME_API": api.url.removeprefix("http://")}
        with container("predict", wait=False, **environment) as runtime:
            wait_for(lambda: api.connections, 60)
            docker("stop", "--time", str(STOPS_WITHIN_S), runtime.name)
            assert runtime.state()["ExitCode"] == 0


# The end


def test_a_stop_under_load_loses_no_request(function: str) -> None:
    with container(function) as service:
        answered, refused, stopping = [], [], Event()

        def ask() -> None:
            while not refused:
                try:
                    answer = httpx.post(
                        f"{service.url}/{function}", content=leaf(), headers=JPEG, trust_env=False, timeout=30
                    )
                except httpx.ConnectError:
                    assert stopping.is_set(), "it must not go away by itself"
                    refused.append(True)
                else:
                    answered.append(answer.status_code)

        with ThreadPoolExecutor(8) as pool:
            clients = [pool.submit(ask) for _ in range(8)]
            wait_for(lambda: len(answered) >= 40, 60)
            stopping.set()
            began = time.monotonic()
            docker("stop", "--time", "30", service.name)
            took_s = time.monotonic() - began
            for client in clients:
                client.result()
        assert set(answered) <= {200, 503}, "503: as many wait as may"
        assert service.state()["ExitCode"] == 0, service.logs()
        assert took_s < STOPS_WITHIN_S


def test_out_of_memory_is_survived() -> None:
    # Too little even to start, until it is given more.
    options = ("--restart", "always", "--memory", "40m", "--memory-swap", "40m")
    with container("predict", options=options, wait=False) as service:
        wait_for(lambda: service.restarts() >= 1, 60)
        docker("update", "--memory", "512m", "--memory-swap", "512m", service.name)
        wait_for(service.is_ready, 60)
        answer = httpx.post(f"{service.url}/predict", content=leaf(), headers=JPEG, trust_env=False, timeout=60)
        assert class_id("predict", answer.json()) == CLASS_ID


def test_a_wrong_setting_stops_it_at_once() -> None:
    with container("predict", wait=False, PLANT_THREADS="many") as service:
        wait_for(lambda: not service.state()["Running"], 60)
        assert service.state()["ExitCode"] == 1
        assert "PLANT_THREADS" in service.logs()
