"""The smoke test passes a good service and fails every bad one."""

import math
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from plant_disease import keys
from plant_disease.keys import KeyStore
from plant_disease.plans import Plan
from tests.functions.processes import BIN, free_port, started, wait_for
from tests.servers import Answer, ScriptedServer
from tools.drill.stage import balancer
from tools.smoke import rounds

SCRIPT = Path(__file__).parent.parent / "tools" / "smoke.py"


def smoke(url: str, *options: str, key: str = "", trusted: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), url, "--wait-s", "20", *options]
    environment = {**os.environ, "SMOKE_KEY": key} | ({"SSL_CERT_FILE": str(trusted)} if trusted else {})
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
    settings = {"PLANT_AUTH": "required", "PLANT_API_KEYS_URI": str(folder / "keys.json"), "PLANT_TRUSTED_PROXIES": "1"}
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


@contextmanager
def tls(folder: Path, upstream: str, *, redirects: bool = True, hsts: bool = True) -> Iterator[tuple[str, ...]]:
    """A Caddy with a certificate of its own before a service: its address and options to test it with."""
    port, plain = free_port(), free_port()
    settings = f"admin off\npersist_config off\nskip_install_trust\nhttps_port {port}\nhttp_port {plain}"
    proxy = f"reverse_proxy {upstream} {{\n{'' if hsts else 'header_down -Strict-Transport-Security'}\n}}"
    sites = [f"https://localhost:{port} {{\ntls internal\n{proxy}\n}}"]
    if not redirects:
        sites.append(f"http://localhost:{plain} {{\n{proxy}\n}}")
    config = folder / "Caddyfile"
    config.write_text("\n".join([f"{{\n{settings}\n}}", *sites]))
    own = {"XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    with started([BIN / "caddy", "run", "--config", str(config)], port, folder, own, health=False):
        yield f"https://localhost:{port}", "--http-port", str(plain), "--key-env", "SMOKE_KEY"


def test_tls_passes_where_plain_http_leads_to_it(closed: tuple[str, str], tmp_path: Path) -> None:
    url, key = closed
    with tls(tmp_path, url) as asked:
        done = smoke(*asked, key=key, trusted=root_of(tmp_path))
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("ok no_key_is_refused\nok plain_http_is_redirected\n")


def test_tls_fails_where_plain_http_serves(closed: tuple[str, str], tmp_path: Path) -> None:
    url, key = closed
    with tls(tmp_path, url, redirects=False) as asked:
        done = smoke(*asked, key=key, trusted=root_of(tmp_path))
    assert done.returncode == 1
    assert done.stderr == "FAILED plain_http_is_redirected: plain HTTP is answered with 200 and not led to https\n"


def test_tls_fails_without_hsts(closed: tuple[str, str], tmp_path: Path) -> None:
    url, key = closed
    with tls(tmp_path, url, hsts=False) as asked:
        done = smoke(*asked, key=key, trusted=root_of(tmp_path))
    assert done.returncode == 1
    assert done.stderr == "FAILED security_headers: headers are missing or wrong: strict-transport-security\n"


def test_a_certificate_that_nobody_trusts_fails(closed: tuple[str, str], tmp_path: Path) -> None:
    url, key = closed
    with tls(tmp_path, url) as asked:
        done = smoke(*asked, "--wait-s", "1", key=key)
    assert done.returncode == 1
    assert "CERTIFICATE_VERIFY_FAILED" in done.stderr


def root_of(folder: Path) -> Path:
    """Whom to trust for the certificates that Caddy makes."""
    return folder / "caddy" / "pki" / "authorities" / "local" / "root.crt"


def test_after_the_first_apply_a_model_and_a_key_are_missing(tmp_path: Path) -> None:
    """As DEPLOYMENT.md says it, with folders in the place of buckets."""
    settings = {
        "PLANT_AUTH": "required",
        "PLANT_MODEL_URI": str(tmp_path / "models"),
        "PLANT_API_KEYS_URI": str(tmp_path / "keys.json"),
    }

    def command(*arguments: str) -> str:
        made = [sys.executable, "-m", "plant_disease.cli", *arguments]
        environment = {**os.environ, **settings}
        return subprocess.run(made, capture_output=True, text=True, check=True, env=environment).stdout.strip()

    port = free_port()
    with started(serve(port), port, tmp_path, settings) as process:
        assert httpx.get(f"{process.url}/health/ready").status_code == 503
        assert httpx.post(f"{process.url}/predict", content=b"").status_code == 401
        # Whether it is a key is asked first, so that a caller without one learns nothing of the model.
        (model,) = (SCRIPT.parent.parent / "models").glob("*/manifest.json")
        command("models", "publish", str(model.parent), "--promote", "stable")
        command("keys", "plan", "smoke")
        scopes = [part for scope in ("predict", "batch", "explain") for part in ("--scope", scope)]
        key = command("keys", "create", "Smoke test", "--plan", "smoke", *scopes)
        known = {"X-API-Key": key}
        wait_for(lambda: httpx.get(f"{process.url}/usage", headers=known).status_code == 403, 60)
        done = smoke(process.url, "--key-env", "SMOKE_KEY", "--wait-s", "60", key=key)
    assert done.returncode == 0, done.stderr


def test_a_canary_is_missed_once_in_a_million() -> None:
    assert [rounds(percent) for percent in (10, 50, 90)] == [132, 20, 6]
    for percent in (1, 10, 50):
        asked = rounds(percent)
        assert math.pow(1 - percent / 100, asked) <= 1e-6 < math.pow(1 - percent / 100, asked - 1)


def test_a_bad_canary_is_found(tmp_path: Path) -> None:
    good_port, bad_port = free_port(), free_port()
    off = {"PLANT_AUTH": "off"}
    with (
        started(serve(good_port), good_port, tmp_path, off) as good,
        # It is ready, and turns every photo away.
        started(serve(bad_port), bad_port, tmp_path, {**off, "PLANT_MAX_IMAGE_PIXELS": "1024"}) as bad,
        balancer(tmp_path, "weighted_round_robin 19 1", good, bad) as front,
    ):
        assert smoke(front.url, "--open").returncode == 0, "asked too little to meet it"
        met = smoke(front.url, "--open", "--canary", "90")
        front.share("round_robin", good)
        assert smoke(front.url, "--open", "--canary", "90").returncode == 0
    assert met.returncode == 1
    assert met.stderr.startswith("FAILED canary_answers: "), met.stderr


@pytest.mark.parametrize("percent", ["0", "100", "ten"])
def test_a_share_that_is_none(percent: str) -> None:
    assert smoke("http://127.0.0.1:1", "--canary", percent).returncode == 2
