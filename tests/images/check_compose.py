"""All of compose.yaml at once. Needs a Docker engine, `make images` and tests/images/standins.sh."""

import json
import os
import socket
import ssl
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.functions.photos import CLASS_ID, form, leaf
from tests.functions.processes import ROOT, wait_for
from tests.images.engine import Container, container, docker

HOST, PORT = "localhost", 8443
URL = f"https://{HOST}:{PORT}"
JPEG = {"content-type": "image/jpeg"}
FILES = ("compose", "-f", "compose.yaml", "-f", "tests/images/compose.test.yaml")

_callers = count(1)


def address() -> str:
    """An address that nobody has called from yet: what is limited by address begins anew."""
    number = next(_callers)
    return f"127.1.{number // 250}.{1 + number % 250}"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Everything is up; the certificate that was made for nginx."""
    if not docker("images", "--quiet", "plant-disease-test/standins"):
        pytest.skip("tests/images/standins.sh has not made the images that stand in for those of compose.yaml")
    before = os.environ.get("PLANT_AUTH")
    os.environ["PLANT_AUTH"] = "off"
    os.chdir(ROOT)
    try:
        docker(*FILES, "up", "--detach", "--wait", "--no-build")
        path = tmp_path_factory.mktemp("tls") / "tls.crt"
        path.write_text(docker(*FILES, "exec", "-T", "nginx", "cat", "/tls/tls.crt"))
        yield path
    finally:
        print(docker(*FILES, "logs", "--tail", "100", check=False))
        docker(*FILES, "down", "--volumes", "--timeout", "10")
        os.environ.pop("PLANT_AUTH")
        if before is not None:
            os.environ["PLANT_AUTH"] = before


@pytest.fixture
def trusting(certificate: Path) -> ssl.SSLContext:
    """The certificate is checked, name and all."""
    return ssl.create_default_context(cafile=str(certificate))


@pytest.fixture
def client(trusting: ssl.SSLContext) -> Iterator[httpx.Client]:
    """From an address of its own."""
    transport = httpx.HTTPTransport(verify=trusting, local_address=address())
    with httpx.Client(base_url=URL, transport=transport, timeout=60) as client:
        yield client


def test_everything_is_healthy(certificate: Path) -> None:
    states = [json.loads(line) for line in docker(*FILES, "ps", "--all", "--format", "json").splitlines()]
    services = {each["Service"]: (each["State"], each["Health"], each["ExitCode"]) for each in states}
    assert services.pop("prepare") == ("exited", "", 0)
    assert {name for name, (_, health, _) in services.items() if health != "healthy"} == {"dns", "blackbox"}, services
    assert {state for state, _, _ in services.values()} == {"running"}


@pytest.mark.parametrize("prefix", ["", "/v1"])
def test_a_diagnosis_of_each_function(client: httpx.Client, prefix: str) -> None:
    predicted = client.post(f"{prefix}/predict", content=leaf(), headers=JPEG)
    assert predicted.status_code == 200, predicted.text
    assert predicted.json()["predictions"][0]["class_id"] == CLASS_ID
    batch = client.post(f"{prefix}/batch", content=leaf(), headers=JPEG).json()
    assert batch["summary"] == {"total": 1, "succeeded": 1, "failed": 0}
    explained = client.post(f"{prefix}/explain?method=gradcam", content=leaf(), headers=JPEG).json()
    assert explained["explanation"]["heatmap"]["boxes"]


def test_the_rest_of_the_interface(client: httpx.Client) -> None:
    assert client.get("/health/ready").json() == {"status": "ok", "model": "ready"}
    assert CLASS_ID in client.get("/classes").text
    assert client.get("/openapi.json").json()["paths"]["/predict"]


def test_what_is_not_for_everybody(client: httpx.Client) -> None:
    for path in ("/metrics", "/v1/metrics", "/nginx/health", "/config.json/..%2f..%2fetc/passwd", "/tls/tls.key"):
        assert client.get(path).status_code in (400, 404), path


def test_tls(trusting: ssl.SSLContext) -> None:
    def negotiated(context: ssl.SSLContext) -> tuple[str | None, str | None]:
        context.set_alpn_protocols(["h2", "http/1.1"])
        with (
            socket.create_connection((HOST, PORT), 10) as plain,
            context.wrap_socket(plain, server_hostname=HOST) as it,
        ):
            return it.version(), it.selected_alpn_protocol()

    assert negotiated(trusting) == ("TLSv1.3", "h2")
    trusting.maximum_version = ssl.TLSVersion.TLSv1_2
    assert negotiated(trusting) == ("TLSv1.2", "h2")
    trusting.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    trusting.maximum_version = ssl.TLSVersion.TLSv1_1
    trusting.set_ciphers("DEFAULT:@SECLEVEL=0")
    with pytest.raises(ssl.SSLError):
        negotiated(trusting)


def test_plain_http_is_sent_to_tls(certificate: Path) -> None:
    answer = httpx.post(f"http://{HOST}:8081/predict?top_k=2", content=leaf(), trust_env=False)
    assert (answer.status_code, answer.headers["location"]) == (308, f"https://{HOST}/predict?top_k=2")


def test_gzip(client: httpx.Client) -> None:
    answer = client.get("/classes")
    assert (answer.headers["content-encoding"], answer.headers["vary"]) == ("gzip", "Accept-Encoding")


def test_the_page(client: httpx.Client) -> None:
    page = client.get("/")
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert client.get("/js/app.js").headers["content-type"].startswith(("text/javascript", "application/javascript"))
    for answer, status, code in (
        (client.post("/"), 405, "method_not_allowed"),
        (client.get("/nowhere"), 404, "not_found"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert answer.headers["content-type"] == "application/problem+json"


def test_a_body_that_is_too_large(client: httpx.Client) -> None:
    answer = client.post("/predict", content=b"\xff\xd8" + bytes(33 * 1024 * 1024), headers=JPEG)
    problem = answer.json()
    assert (answer.status_code, problem["status"], problem["code"]) == (413, 413, "body_too_large")
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["request_id"] == answer.headers["x-request-id"]


def test_ndjson_comes_line_by_line(client: httpx.Client) -> None:
    content, headers = form(*[leaf()] * 24)
    with client.stream(
        "POST", "/batch", content=content, headers={**headers, "Accept": "application/x-ndjson"}
    ) as answer:
        arrived = [(time.monotonic(), json.loads(line)) for line in answer.iter_lines()]
    assert len(arrived) >= 24
    first, last = arrived[0][0], arrived[-1][0]
    assert len({round(at - first, 3) for at, _ in arrived}) > 2, f"all at once after {last - first} s"


def test_a_killed_replica_costs_no_client_anything(trusting: ssl.SSLContext) -> None:
    """1,000 requests from fifty addresses; in the middle of them one of two replicas is killed, and comes back."""
    name = "plant-disease-test-predict-1"
    started = docker("inspect", "--format", "{{.State.StartedAt}}", name)

    def twenty(_: int) -> list[int]:
        transport = httpx.HTTPTransport(verify=trusting, local_address=address())
        with httpx.Client(base_url=URL, transport=transport, timeout=60) as client:
            return [client.post("/predict", content=leaf(), headers=JPEG).status_code for _ in range(20)]

    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(twenty, number) for number in range(50)]
        wait_for(lambda: sum(each.done() for each in asked) >= 15, 300)
        # As the kernel does when memory runs out. `docker kill` would count as a stop on purpose.
        os.kill(int(docker("inspect", "--format", "{{.State.Pid}}", name)), 9)
        statuses = Counter(status for each in asked for status in each.result())
    assert statuses == {200: 1000}
    assert docker("inspect", "--format", "{{.State.StartedAt}}", name) != started
    wait_for(lambda: docker("inspect", "--format", "{{.State.Health.Status}}", name) == "healthy", 60)


def test_a_burst_is_limited_and_others_go_on(trusting: ssl.SSLContext) -> None:
    greedy = address()

    def burst(_: int) -> list[httpx.Response]:
        transport = httpx.HTTPTransport(verify=trusting, local_address=greedy)
        with httpx.Client(base_url=URL, transport=transport, timeout=60) as client:
            # Whatever it claims of where it comes from.
            return [client.get("/health/live", headers={"X-Forwarded-For": address()}) for _ in range(40)]

    with ThreadPoolExecutor(9) as pool:
        bursts = [pool.submit(burst, number) for number in range(8)]
        other = httpx.HTTPTransport(verify=trusting, local_address=address())
        with httpx.Client(base_url=URL, transport=other, timeout=60) as client:
            patient = [client.post("/predict", content=leaf(), headers=JPEG).status_code for _ in range(10)]
        answers = [answer for each in bursts for answer in each.result()]
    assert patient == [200] * 10
    limited = [answer for answer in answers if answer.status_code == 429]
    assert len(limited) > 100
    assert {answer.status_code for answer in answers} == {200, 429}
    assert int(limited[0].headers["retry-after"]) >= 1
    assert (limited[0].json()["code"], limited[0].headers["content-type"]) == (
        "rate_limited",
        "application/problem+json",
    )


def test_when_no_replica_is_left(client: httpx.Client) -> None:
    docker(*FILES, "stop", "batch")
    try:
        answer = client.post("/batch", content=leaf(), headers=JPEG)
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        assert answer.headers["retry-after"]
        assert client.post("/predict", content=leaf(), headers=JPEG).status_code == 200
    finally:
        docker(*FILES, "up", "--detach", "--wait", "--no-build", "batch")
    wait_for(lambda: client.post("/batch", content=leaf(), headers=JPEG).status_code == 200, 60)


def test_prometheus_sees_every_replica(certificate: Path) -> None:
    def targets() -> Any:
        found = httpx.get("http://127.0.0.1:9090/api/v1/targets", trust_env=False).json()["data"]["activeTargets"]
        return {each["labels"].get("function"): each["health"] for each in found if "function" in each["labels"]}

    wait_for(lambda: targets() == dict.fromkeys(("predict", "batch", "explain"), "up"), 60)


def test_keys_and_limits_are_shared(certificate: Path) -> None:
    """A key made with the command of the image; its rate holds over all replicas, which count in Redis."""
    command = (*FILES, "run", "--rm", "--no-deps", "-T", "plant-disease", "keys")
    docker(*command, "plan", "starter", "--rate", "predict=3/hour")
    key = docker(*command, "create", "Greenhouse", "--plan", "starter", "--scope", "predict").split()[-1]
    options = ("--volume", "plant-disease-test_keys:/keys", "--dns", "127.0.0.11", "--dns-search", ".")
    environment = {
        "PLANT_AUTH": "required",
        "PLANT_API_KEYS_URI": "/keys/keys.json",
        "PLANT_LIMITS_URI": "redis://redis:6379",
    }
    with (
        container("predict", options=options, **environment) as one,
        container("predict", options=options, **environment) as two,
    ):

        def ask(replica: Container, headers: dict[str, str]) -> int:
            url = f"{replica.url}/predict"
            return httpx.post(url, content=leaf(), headers={**JPEG, **headers}, trust_env=False, timeout=60).status_code

        assert ask(one, {}) == 401
        assert [ask(replica, {"X-API-Key": key}) for replica in (one, two, one, two)] == [200, 200, 200, 429]
