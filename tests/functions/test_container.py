"""The entry point of the container images, outside of a container."""

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from plant_disease.service.server import _emptied
from tests.functions.faces import Lambda
from tests.functions.photos import CLASS_ID, leaf
from tests.functions.processes import (
    BIN,
    CONTAINER,
    ROOT,
    Process,
    container,
    environment,
    free_port,
    started,
    wait_for,
)
from tests.servers import FaultyProxy

JPEG = {"content-type": "image/jpeg"}
PROBE = [sys.executable, "-m", "plant_disease.service.probe"]


def probe(port: int | None) -> int:
    settings = environment({"HOST": "127.0.0.1", "PORT": str(port)})
    return subprocess.run(PROBE, check=False, env=settings, cwd=ROOT, stderr=subprocess.PIPE).returncode


def test_serves_and_stops(folder: Path) -> None:
    with container(folder, "explain") as service:
        wait_for(lambda: probe(service.port) == 0, 60)
        answer = httpx.post(f"{service.url}/explain", content=leaf(), headers=JPEG, trust_env=False, timeout=30)
        assert answer.json()["predictions"][0]["class_id"] == CLASS_ID
        assert "server" not in answer.headers
        assert service.terminate(10) == 0
        assert probe(service.port) == 1


def test_the_probe_fails_while_there_is_no_model(folder: Path, tmp_path: Path) -> None:
    with container(folder, PLANT_MODEL_URI=str(tmp_path)) as service:
        wait_for(lambda: '"model could not' in service.log() or "could not be loaded" in service.log(), 30)
        assert httpx.get(f"{service.url}/health/live", trust_env=False).status_code == 200
        assert probe(service.port) == 1


def test_a_stop_under_load_loses_no_request(folder: Path) -> None:
    with container(folder) as service:
        url = f"{service.url}/predict"
        answered: list[int] = []
        refused: list[bool] = []

        def ask(keep: bool) -> None:
            with httpx.Client(trust_env=False, timeout=30) as client:
                while not refused:
                    headers = JPEG if keep else {**JPEG, "connection": "close"}
                    try:
                        answered.append(client.post(url, content=leaf(), headers=headers).status_code)
                    except httpx.ConnectError:
                        refused.append(True)

        with ThreadPoolExecutor(8) as pool:
            clients = [pool.submit(ask, number % 2 == 0) for number in range(8)]
            wait_for(lambda: len(answered) >= 40, 60)
            assert not refused
            assert service.terminate(10) == 0
            for client in clients:
                client.result()
        assert set(answered) <= {200, 503}


def test_whoever_has_connected_when_a_stop_begins_is_heard_and_nobody_can_afterwards() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        early = [socket.create_connection(listener.getsockname()) for _ in range(5)]
        listener.setblocking(False)
        accepted = _emptied(listener)
        assert [each.getpeername() for each in accepted] == [each.getsockname() for each in early]
        with pytest.raises(TimeoutError):
            socket.create_connection(listener.getsockname(), timeout=0.3)
        early[4].sendall(b"a request")
        accepted[4].settimeout(5)
        assert accepted[4].recv(100) == b"a request"
    for each in [*early, *accepted]:
        each.close()


def test_garbage_is_collected_but_not_what_start_up_left(folder: Path) -> None:
    program = """
import gc, sys
gc.disable()  # as the entry point does
from plant_disease.service.server import prepared
prepared("tests.functions.probe:app", host="127.0.0.1", port=int(sys.argv[1])).run()
"""
    port = free_port()
    settings = {"PYTHONPATH": str(ROOT), "PLANT_MODEL_LOADING": "lazy"}
    with started([sys.executable, "-c", program, str(port)], port, folder, settings) as service:

        def spared() -> int:
            told = httpx.get(f"{service.url}/garbage", trust_env=False).json()
            assert told["is_collected"]
            return int(told["spared"])

        before = spared()
        assert before > 30_000
        assert httpx.post(f"{service.url}/predict", content=leaf(), headers=JPEG, trust_env=False).status_code == 200
        assert spared() > before, "the model is spared as well"


def test_a_wrong_setting_is_named(folder: Path) -> None:
    settings = environment({"FUNCTION_TARGET": "predict", "PLANT_THREADS": "many"})
    ended = subprocess.run(CONTAINER, check=False, env=settings, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1
    assert "PLANT_THREADS" in ended.stderr
    assert "Traceback" not in ended.stderr


@contextmanager
def emulated(folder: Path) -> Iterator[Process]:
    port = free_port()
    command = [
        *(BIN / "aws-lambda-rie", "--runtime-interface-emulator-address", f"127.0.0.1:{port}"),
        *("--runtime-api-address", f"127.0.0.1:{free_port()}", *CONTAINER),
    ]
    with started(command, port, folder, {"FUNCTION_TARGET": "predict"}, health=False) as process:
        yield process


def test_lambda_has_the_model_before_the_first_invocation(folder: Path) -> None:
    with emulated(folder) as process:
        answer = Lambda(process).ask("POST", "/predict", content=leaf(), headers=JPEG)
        assert answer.json()["predictions"][0]["class_id"] == CLASS_ID
        (line,) = process.log_lines(path="/predict")
        assert "load_ms" not in line


def test_lambda_ends_on_sigterm(folder: Path) -> None:
    # A runtime interface without an invocation.
    with FaultyProxy("http://127.0.0.1:1") as api:
        api.set("hang")
        settings = environment(
            {"FUNCTION_TARGET": "predict", "AWS_LAMBDA_RUNTIME_API": api.url.removeprefix("http://")}
        )
        with subprocess.Popen(CONTAINER, env=settings, cwd=ROOT) as process:
            try:
                wait_for(lambda: api.connections, 60)
                process.send_signal(signal.SIGTERM)
                assert process.wait(10) == 0
            finally:
                process.kill()


def test_copies_of_a_snapshot_go_their_own_ways() -> None:
    """SnapStart starts many from one: after each start random numbers begin anew."""
    program = """
import random, sys
import awslambdaric.bootstrap, awslambdaric.lambda_runtime_hooks_runner as hooks
awslambdaric.bootstrap.run = lambda handler, client: None
from plant_disease.service import container
container.main()
snapshot = random.getstate()
drawn = set()
for _ in range(3):
    random.setstate(snapshot)
    hooks.run_after_restore()
    drawn.add(random.random())
assert len(drawn) == 3, drawn
"""
    settings = environment({"FUNCTION_TARGET": "predict", "AWS_LAMBDA_RUNTIME_API": "127.0.0.1:1"})
    subprocess.run([sys.executable, "-c", program], check=True, env=settings, cwd=ROOT, timeout=60)
