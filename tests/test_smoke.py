"""The smoke test passes a good service and fails every bad one."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from plant_disease import keys
from plant_disease.keys import KeyStore
from plant_disease.plans import Plan
from tests.functions.processes import free_port, started
from tests.servers import Answer, ScriptedServer

SCRIPT = Path(__file__).parent.parent / "tools" / "smoke.py"


def smoke(url: str, *options: str, key: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), url, "--wait-s", "20", *options]
    environment = {**os.environ, "SMOKE_KEY": key}
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=environment)


def serve(port: int) -> list[str]:
    return [sys.executable, "-m", "plant_disease.cli", "serve", "--port", str(port)]


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """A service that asks for keys, and a key of it."""
    folder = tmp_path_factory.mktemp("closed")
    store = KeyStore(str(folder / "keys.json"))
    keys.define_plan(store, "all", Plan())
    issued = keys.create(store, name="smoke", scopes=["predict", "batch", "explain"], plan="all")
    settings = {"PLANT_AUTH": "required", "PLANT_API_KEYS_URI": str(folder / "keys.json")}
    port = free_port()
    with started(serve(port), port, folder, settings) as process:
        yield process.url, issued.text


def test_a_good_service_passes(closed: tuple[str, str]) -> None:
    url, key = closed
    done = smoke(url, "--key-env", "SMOKE_KEY", key=key)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("ok ")[1:] == [
        f"{name}\n" for name in ("predict", "explain", "batch", "security_headers", "no_key_is_refused")
    ]


def test_a_wrong_key_fails_and_is_not_shown(closed: tuple[str, str]) -> None:
    url, key = closed
    wrong = key[:-4] + "aaaa"
    done = smoke(url, "--key-env", "SMOKE_KEY", key=wrong)
    assert done.returncode == 1
    assert "401 instead of 200" in done.stderr
    assert wrong not in done.stderr + done.stdout


def test_an_open_service_fails_unless_that_is_meant(tmp_path: Path) -> None:
    port = free_port()
    with started(serve(port), port, tmp_path, {"PLANT_AUTH": "off"}) as process:
        assert smoke(process.url, "--open").returncode == 0
        done = smoke(process.url)
    assert done.returncode == 1
    assert "FAILED no_key_is_refused: POST /predict: 200 instead of 401" in done.stderr


def test_a_service_without_a_model_fails(tmp_path: Path) -> None:
    port = free_port()
    with started(serve(port), port, tmp_path, {"PLANT_MODEL_URI": str(tmp_path / "none")}) as process:
        done = smoke(process.url, "--open", "--wait-s", "2")
    assert done.returncode == 1
    assert "FAILED ready" in done.stderr


def test_a_server_that_only_fails() -> None:
    with ScriptedServer(Answer(500)) as server:
        done = smoke(server.url, "--open", "--wait-s", "2")
    assert done.returncode == 1
    assert "500 instead of 200" in done.stderr


def test_a_server_that_is_ready_and_then_fails() -> None:
    with ScriptedServer(Answer(503), Answer(200, b'{"status": "ok", "model": "ready"}'), Answer(500)) as server:
        done = smoke(server.url)
    assert done.returncode == 1
    assert done.stderr.count("FAILED") == 5
    assert "ok " not in done.stdout


def test_nobody_listens() -> None:
    done = smoke(f"http://127.0.0.1:{free_port()}", "--open", "--wait-s", "1")
    assert done.returncode == 1
    assert "FAILED ready" in done.stderr


def test_a_key_that_is_not_set() -> None:
    assert smoke("http://127.0.0.1:1", "--key-env", "NO_SUCH_KEY").returncode == 2
