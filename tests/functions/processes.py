"""The service in processes of its own, as it is deployed."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
STARTS_WITHIN_S = 60

running: list["Process"] = []
"""Those whose log a failing test may want to show."""


class Process:
    """A server process.

    Attributes:
        url: where it listens.
    """

    def __init__(self, popen: "subprocess.Popen[bytes]", url: str, log: Path) -> None:
        self.popen = popen
        self.url = url
        self.port = httpx.URL(url).port
        self._log = log

    def log(self) -> str:
        """What it has written so far, to standard output and standard error."""
        return self._log.read_text(errors="replace")

    def log_lines(self, *, path: str | None = None, request_id: str | None = None) -> list[dict[str, Any]]:
        """The log lines in JSON that fit."""
        lines = []
        # A line may be read while it is written.
        for text in self.log().rpartition("\n")[0].splitlines():
            if text.startswith("{"):
                line = json.loads(text)
                if path in (None, line.get("path")) and request_id in (None, line.get("request_id")):
                    lines.append(line)
        return lines

    def log_line(self, request_id: str) -> dict[str, Any]:
        """The one line about a request; waits for it, because it is written after the answer."""

        def found() -> list[dict[str, Any]]:
            # What it used, if that is to be paid for, stands in a line of its own.
            return [line for line in self.log_lines(request_id=request_id) if "method" in line]

        wait_for(found, 5)
        (line,) = found()
        return line

    def memory(self) -> int:
        """Bytes of memory in use."""
        pages = int(Path(f"/proc/{self.popen.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def peak_memory(self) -> int:
        """Bytes of memory that were in use at most."""
        status = Path(f"/proc/{self.popen.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024

    def terminate(self, within_s: float) -> int:
        """Ask it to stop as every platform does; the exit code."""
        self.popen.send_signal(signal.SIGTERM)
        return self.popen.wait(within_s)


def free_port() -> int:
    """A port on which nothing listens just now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def wait_for(condition: Callable[[], object], within_s: float) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {within_s} s"
        time.sleep(0.02)


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process: this one's without what would change the outcome, and the given settings."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PLANT_", "AWS_", "FUNCTION_", "STORAGE_", "OTEL_", "GOOGLE_", "K_", "PORT", "HOST"))
    }
    if "PLANT_MODEL_URI" in os.environ:
        inherited["PLANT_MODEL_URI"] = os.environ["PLANT_MODEL_URI"]
    return {**inherited, "PLANT_AUTH": "off", "PYTHONUNBUFFERED": "1", **settings}


@contextmanager
def started(
    command: Sequence[str | Path], port: int, folder: Path, settings: Mapping[str, str], *, health: bool = True
) -> Iterator[Process]:
    """Run a server until the block ends.

    Args:
        command: what to run, at the root of the repository.
        port: where it will listen.
        folder: for its log.
        settings: environment variables.
        health: whether it answers /health/live; else an open port is all that is waited for.
    """
    log = folder / f"{Path(command[0]).name}-{port}.log"
    with log.open("wb") as output:
        popen = subprocess.Popen(
            [str(part) for part in command],
            cwd=ROOT,
            env=environment(settings),
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    process = Process(popen, f"http://127.0.0.1:{port}", log)
    running.append(process)
    try:
        wait_for(lambda: popen.poll() is not None or _answers(process, health), STARTS_WITHIN_S)
        assert popen.poll() is None, process.log()
        yield process
    finally:
        # The whole group: the Lambda emulator has children.
        with suppress(ProcessLookupError):
            os.killpg(popen.pid, signal.SIGKILL)
        popen.wait()
        print(process.log())
        running.remove(process)
    assert_tells_nothing(process.log(), settings)


_KEY = re.compile(r"pd_[0-9a-z]{12}_[0-9A-Za-z]{8}")
_PHOTO = re.compile(r"/9j/[0-9A-Za-z+/]{60}|iVBORw0KGgo|UklGR[0-9A-Za-z+/]{60}|\\xff\\xd8\\xff|JFIF|IHDR|WEBPVP8")


def assert_tells_nothing(text: str, settings: Mapping[str, str] = {}) -> None:
    """No key, no hash of one and no photo stands in what a server has written or answered."""
    assert not _KEY.search(text)
    assert not _PHOTO.search(text)
    document = Path(settings.get("PLANT_API_KEYS_URI", "").removeprefix("file://") or "/nowhere")
    if document.is_file():
        for digest in re.findall(r'"sha256": ?"([0-9a-f]{64})"', document.read_text(errors="replace")):
            assert digest not in text


def _answers(process: Process, health: bool) -> bool:
    try:
        if health:
            return httpx.get(f"{process.url}/health/live", trust_env=False).is_success
        socket.create_connection(("127.0.0.1", process.port or 0), timeout=1).close()
    except (httpx.TransportError, OSError):
        return False
    return True


@contextmanager
def uvicorn(folder: Path, function: str = "predict", **settings: str) -> Iterator[Process]:
    """As the README says.

    Args:
        folder: for its log.
        function: its name, or a module with another app.
        settings: environment variables.
    """
    port = free_port()
    module = f"functions.{function}.main:app" if "." not in function else f"{function}:app"
    options = ["--http", "h11", "--no-access-log", "--no-proxy-headers"]
    command = [BIN / "uvicorn", module, "--port", str(port), *options]
    with started(command, port, folder, settings) as process:
        yield process


CONTAINER = [sys.executable, "-m", "plant_disease.service.container"]
"""The entry point of the images."""


@contextmanager
def container(folder: Path, function: str = "predict", **settings: str) -> Iterator[Process]:
    """As its image runs it, outside of a container."""
    port = free_port()
    settings = {"FUNCTION_TARGET": function, "HOST": "127.0.0.1", "PORT": str(port), **settings}
    with started(CONTAINER, port, folder, settings) as process:
        yield process


@contextmanager
def serve(folder: Path, **settings: str) -> Iterator[Process]:
    """As `make run` runs it: all functions in one process."""
    port = free_port()
    with started([BIN / "plant-disease", "serve", "--port", str(port)], port, folder, settings) as process:
        yield process


@contextmanager
def functions_framework(folder: Path, function: str = "predict", **settings: str) -> Iterator[Process]:
    """As Google's Functions Framework runs it."""
    port = free_port()
    source = ["--source", f"functions/{function}/main.py", "--target", function, "--asgi"]
    command: list[str | Path] = [BIN / "functions-framework", *source, "--host", "127.0.0.1", "--port", str(port)]
    with started(command, port, folder, settings) as process:
        yield process


@contextmanager
def lambda_emulator(folder: Path, function: str = "predict", **settings: str) -> Iterator[Process]:
    """As AWS Lambda runs it: AWS's own emulator and runtime client."""
    port = free_port()
    command: list[str | Path] = [
        *(BIN / "aws-lambda-rie", "--runtime-interface-emulator-address", f"127.0.0.1:{port}"),
        *("--runtime-api-address", f"127.0.0.1:{free_port()}"),
        *(sys.executable, "-m", "awslambdaric", f"functions.{function}.main.handler"),
    ]
    with started(command, port, folder, settings, health=False) as process:
        yield process
