"""The services that are compared: ours, the usual way, and what serves the same ONNX model elsewhere.

Each listens on a port of loopback and answers a photo posted to /predict as the multipart field `image`.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
PEERS = ROOT / "build/peers"
"""The environment of the peers; `make bench` sets it up from peers/requirements.txt."""

MODEL = next(ROOT.glob("models/*/model.int8.onnx"))
BOUNDARY = "a-photo-follows"
_START_S = 120


class Service(NamedTuple):
    """A service that can be started.

    Attributes:
        command: what runs it, given the port.
        folder: where it runs.
        settings: of its environment, given the port.
    """

    command: Callable[[int], list[str]]
    folder: Path
    settings: Callable[[int], dict[str, str]] = lambda _port: {}


class Running(NamedTuple):
    """A service that runs."""

    port: int
    pid: int


def post(photo: bytes, path: str = "/predict", field: str = "image", copies: int = 1) -> bytes:
    """A whole HTTP/1.1 request with the photo, as it goes over the wire."""
    part = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{field}"; filename="leaf.jpg"\r\n'
    body = (part.encode() + b"Content-Type: image/jpeg\r\n\r\n" + photo + b"\r\n") * copies
    body += f"--{BOUNDARY}--\r\n".encode()
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
    return f"{head}Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n\r\n".encode() + body


def ours(function: str = "predict") -> Service:
    """One function, as its container image runs it."""
    return Service(
        lambda _port: [sys.executable, "-m", "plant_disease.service.container"],
        ROOT,
        lambda port: {
            "FUNCTION_TARGET": function,
            "PLANT_AUTH": "off",
            "HOST": "127.0.0.1",
            "PORT": str(port),
            "PYTHONPATH": f"{ROOT / 'shared'}:{ROOT}",
        },
    )


def usual(folder: Path) -> Service:
    """benchmarks/usual, with weights of its own in the folder."""
    app = ROOT / "benchmarks/usual"
    make = "import torch; from app import network; torch.save(network().state_dict(), 'model.pth')"
    environment = {**os.environ, "PYTHONPATH": str(app)}
    subprocess.run([sys.executable, "-c", make], cwd=folder, env=environment, check=True)
    return Service(
        lambda port: [sys.executable, "-m", "uvicorn", "app:app", "--port", str(port), "--no-access-log"],
        folder,
        lambda _port: {"PYTHONPATH": str(app)},
    )


def peers() -> dict[str, Service]:
    """LitServe and BentoML, each with a worker for each of two CPUs."""
    folder = ROOT / "benchmarks/peers"
    settings = {"MODEL": str(MODEL), "BENTOML_DO_NOT_TRACK": "True", "LIT_SERVE_DISABLE_VERSION_CHECK": "1"}
    serve = [str(PEERS / "bin/bentoml"), "serve", "bento_service:Leaf", "--host", "127.0.0.1", "--port"]
    return {
        "LitServe": Service(
            lambda port: [str(PEERS / "bin/python"), "lit_service.py", str(port)], folder, lambda _port: settings
        ),
        "BentoML": Service(lambda port: [*serve, str(port)], folder, lambda _port: settings),
    }


def on_one_cpu(service: Service) -> Service:
    """The same on one CPU."""
    first = str(min(os.sched_getaffinity(0)))
    return service._replace(command=lambda port: ["taskset", "-c", first, *service.command(port)])


@contextmanager
def cpu_quota(cpus: float) -> Iterator[Callable[[Service], Service] | None]:
    """A control group (v1) with so much CPU: gives what has a service run in it. None where none can be made."""
    group = Path("/sys/fs/cgroup/cpu") / f"plant-disease-{os.getpid()}"
    try:
        group.mkdir()
        period_us = int((group / "cpu.cfs_period_us").read_text())
        (group / "cpu.cfs_quota_us").write_text(str(int(cpus * period_us)))
    except OSError:
        yield None
        return
    enter = ["sh", "-c", 'echo $$ > "$0" && exec "$@"', str(group / "cgroup.procs")]
    try:
        yield lambda service: service._replace(command=lambda port: [*enter, *service.command(port)])
    finally:
        # Not before the last process in it has gone.
        for _ in range(100):
            with suppress(OSError):
                group.rmdir()
                break
            time.sleep(0.05)


@contextmanager
def started(service: Service) -> Iterator[Running]:
    """Start a service, and end it and its workers with the block. It may not answer yet."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    # Byte-compiled, as an image is.
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    process = subprocess.Popen(
        service.command(port),
        cwd=service.folder,
        env={**inherited, **service.settings(port)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        # Its own group to end it by, and no session: Linux may share the CPUs out by sessions.
        process_group=0,
    )
    try:
        yield Running(port, process.pid)
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(10)
        # What it forked and left.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def first_answer(running: Running, request: bytes) -> None:
    """Wait until the service answers this request with 200.

    Raises:
        TimeoutError: it does not.
    """
    until = time.perf_counter() + _START_S
    while time.perf_counter() < until:
        try:
            with socket.create_connection(("127.0.0.1", running.port), timeout=60) as connection:
                connection.sendall(request)
                if connection.recv(4096).startswith(b"HTTP/1.1 200"):
                    return
        except OSError:
            pass
        time.sleep(0.005)
    raise TimeoutError(f"The service on port {running.port} gave no answer.")


@contextmanager
def ready(service: Service, request: bytes) -> Iterator[Running]:
    """Start a service and wait until it answers."""
    with started(service) as running:
        first_answer(running, request)
        yield running


def family(pid: int) -> list[int]:
    """The process and all below it."""
    parents: dict[int, list[int]] = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(status.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        parents.setdefault(parent, []).append(int(status.parent.name))
    found = [pid]
    for each in found:
        found += parents.get(each, [])
    return found


def resident_mb(pid: int) -> float:
    """Resident memory of a service with its workers, MB."""
    return sum(_status(each, "VmRSS") for each in family(pid))


def peak_mb(pid: int) -> float:
    """The most resident memory that each of its processes has had, together, MB."""
    return sum(_status(each, "VmHWM") for each in family(pid))


def cpu_s(pid: int) -> float:
    """CPU seconds of a service with its workers."""
    total = 0.0
    for each in family(pid):
        fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


def _status(pid: int, field: str) -> float:
    try:
        return int(Path(f"/proc/{pid}/status").read_text().partition(f"{field}:")[2].split()[0]) / 1000
    except (OSError, IndexError):
        return 0.0
