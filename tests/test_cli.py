import json
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.bundles import write_bundle
from tests.samples import RUST, RUST_CLASS

COMMAND = str(Path(sys.executable).parent / "plant-disease")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([COMMAND, *arguments], capture_output=True, text=True, timeout=120, check=False)


def test_a_photo_is_diagnosed() -> None:
    done = run("predict", str(RUST), "--json")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)[0]
    assert answer["decision"] == "diagnosed"
    assert answer["predictions"][0]["class_id"] == RUST_CLASS


def test_a_table_for_people() -> None:
    done = run("predict", str(RUST), "--crop", "apple", "--top-k", "2")
    assert done.returncode == 0, done.stderr
    assert "Cedar apple rust" in done.stdout
    assert "Tomato" not in done.stdout


def test_one_bad_photo_fails_only_itself(tmp_path: Path) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_text("not a photo")
    done = run("predict", str(bad), str(RUST), str(tmp_path / "none.jpg"), "--json")
    assert done.returncode == 1
    assert len(json.loads(done.stdout)) == 1
    assert "bad.jpg" in done.stderr
    assert "none.jpg" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("predict",), 2),
        (("predict", "x.jpg", "--top-k", "0"), 2),
        (("nonsense",), 2),
        (("predict", "x.jpg", "--top-k", "1000"), 1),
        (("predict", "x.jpg", "--crop", "banana"), 1),
        (("predict", "x.jpg", "--model-uri", "/nowhere"), 1),
        (("models", "show", "--version", "9.9.9"), 1),
        (("models", "show", "--version", "../x"), 1),
        (("models", "list", "--model-uri", "ftp://x"), 1),
        (("train", "recipes", "--data", ".", "--out", "/nowhere"), 1),
        (("export", "recipes", "--data", ".", "--out", "/nowhere", "--version", "1"), 1),
        (("export", "recipes", "--data", ".", "--out", "/nowhere", "--version", "../1"), 1),
        (("models", "fetch", "--only", "secrets.txt"), 1),
        (("models", "publish"), 2),
        (("models", "publish", "/nowhere"), 2),
        (("models", "publish", "recipes"), 1),
        (("models", "promote"), 2),
        (("models", "promote", "9.9.9"), 1),
        (("models", "promote", "../x"), 1),
        (("models", "rollback", "--channel", "no-such-channel"), 1),
        (("models", "rollback", "--channel", "../x"), 1),
    ],
)
def test_exit_codes(arguments: tuple[str, ...], code: int) -> None:
    done = run(*arguments)
    assert done.returncode == code
    assert done.stderr.strip()
    assert "Traceback" not in done.stderr


def test_models_are_listed_shown_and_fetched(tmp_path: Path) -> None:
    models = tmp_path / "models"
    write_bundle(models, "1.0.0")
    write_bundle(models, "1.1.0")
    uri = ("--model-uri", str(models))
    listed = json.loads(run("models", "list", *uri, "--json").stdout)
    assert listed == [{"version": "1.0.0", "channels": []}, {"version": "1.1.0", "channels": ["stable"]}]
    shown = json.loads(run("models", "show", *uri, "--version", "1.0.0", "--json").stdout)
    assert shown["version"] == "1.0.0"
    assert "Apple___Apple_scab" in {info["class_id"] for info in shown["classes"]}
    fetched = run("models", "fetch", *uri)
    assert fetched.returncode == 0, fetched.stderr
    paths = [Path(line) for line in fetched.stdout.splitlines()]
    assert {path.name for path in paths} == {"model.onnx", "weights.safetensors"}
    assert paths[0].read_bytes() == (models / "1.1.0" / paths[0].name).read_bytes()
    answer = json.loads(run("models", "fetch", *uri, "--only", "model.onnx", "--json").stdout)
    assert (answer["version"], list(answer["files"])) == ("1.1.0", ["model.onnx"])
    assert Path(answer["files"]["model.onnx"]) in paths


def test_models_are_published_promoted_and_rolled_back(tmp_path: Path) -> None:
    made = tmp_path / "made"
    folders = {version: str(write_bundle(made, version)) for version in ("1.0.0", "1.1.0")}
    uri = ("--model-uri", str(tmp_path / "store"))

    def answer(*arguments: str) -> dict[str, Any]:
        done = run("models", *arguments, *uri, "--json")
        assert done.returncode == 0, done.stderr
        parsed: dict[str, Any] = json.loads(done.stdout)
        return parsed

    first = answer("publish", folders["1.0.0"], "--promote", "stable")
    assert first["published"]
    moved = {"channel": "stable", "version": "1.0.0", "sha256": first["sha256"], "before": None}
    assert first["promoted"] == moved
    second = answer("publish", folders["1.1.0"])
    assert second == {"version": "1.1.0", "sha256": second["sha256"], "published": True, "promoted": None}
    assert not answer("publish", folders["1.1.0"])["published"]
    promoted = answer("promote", "1.1.0")
    assert promoted == {"channel": "stable", "version": "1.1.0", "sha256": second["sha256"], "before": "1.0.0"}
    assert answer("rollback") == {**moved, "before": "1.1.0"}
    assert json.loads(run("models", "list", *uri, "--json").stdout) == [
        {"version": "1.0.0", "channels": ["stable"]},
        {"version": "1.1.0", "channels": []},
    ]
    assert run("models", "promote", "1.1.0", *uri).stdout == "Channel stable: 1.0.0 -> 1.1.0.\n"
    assert run("models", "promote", "1.1.0", *uri).stdout == "Channel stable serves 1.1.0 already.\n"
    assert run("models", "rollback", *uri).stdout == "Channel stable: 1.1.0 -> 1.0.0.\n"
    done = run("models", "rollback", *uri)
    assert done.returncode == 1
    assert "remembers no version before 1.0.0" in done.stderr


def test_the_bundled_model_is_shown_to_people() -> None:
    done = run("models", "show")
    assert done.returncode == 0, done.stderr
    assert "efficientnet_lite0" in done.stdout


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def test_an_address_that_is_taken() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = run("serve", "--port", str(taken.getsockname()[1]))
    assert done.returncode == 1
    assert "address already in use" in done.stderr.lower()
    assert "Serving" not in done.stderr


def test_serve_on_loopback_needs_no_key_and_stops_on_sigterm() -> None:
    port = free_port()
    with subprocess.Popen([COMMAND, "serve", "--port", str(port)], stdout=subprocess.DEVNULL) as server:
        try:
            base = f"http://127.0.0.1:{port}"
            deadline = time.monotonic() + 60
            while True:
                try:
                    with urllib.request.urlopen(f"{base}/health/ready") as response:
                        assert json.load(response)["model"] == "ready"
                    break
                except OSError:
                    assert time.monotonic() < deadline, "the server did not become ready"
                    time.sleep(0.1)
            photo = (RUST).read_bytes()
            request = urllib.request.Request(f"{base}/predict", photo, {"Content-Type": "image/jpeg"})
            with urllib.request.urlopen(request) as response:
                assert json.load(response)["predictions"][0]["class_id"] == RUST_CLASS
        finally:
            server.send_signal(signal.SIGTERM)
        assert server.wait(15) == 0


def test_a_stop_while_the_model_loads() -> None:
    with subprocess.Popen([COMMAND, "serve", "--port", "0"], stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        assert "Serving on" in server.stderr.readline()
        server.send_signal(signal.SIGTERM)
        assert server.wait(15) == 0
