"""Clients that cost little beside the service they ask: plain HTTP/1.1 over kept-alive connections."""

import asyncio
import itertools
import socket
import time
from collections.abc import Sequence
from typing import NamedTuple


class Load(NamedTuple):
    """What a service made of some load.

    Attributes:
        times: milliseconds of each request that was answered with 200.
        errors: how many were not.
        seconds: from the first request to the last answer.
    """

    times: list[float]
    errors: int
    seconds: float

    @property
    def throughput(self) -> float:
        """Answers with 200 in a second."""
        return len(self.times) / self.seconds


class Client:
    """One client that waits for each answer, over one kept connection: a plain socket costs next to nothing.

    Args:
        port: of the service.
        request: what it asks each time.
    """

    def __init__(self, port: int, request: bytes) -> None:
        self._port = port
        self._request = request
        self._socket: socket.socket | None = None

    def ask(self) -> bytes:
        """Ask once; the head of the answer.

        Raises:
            ConnectionError: the answer is no 200.
        """
        try:
            head = self._answer()
        except OSError:
            # A service may close a connection that was idle.
            self._socket = None
            head = self._answer()
        if not head.startswith(b"HTTP/1.1 200"):
            raise ConnectionError(head.decode())
        return head

    def _answer(self) -> bytes:
        if self._socket is None:
            self._socket = socket.create_connection(("127.0.0.1", self._port), timeout=60)
        self._socket.sendall(self._request)
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += self._some()
        head, _, body = answer.partition(b"\r\n\r\n")
        left = length_of(head) - len(body)
        while left > 0:
            left -= len(self._some())
        return head

    def _some(self) -> bytes:
        received = self._socket.recv(1 << 16) if self._socket else b""
        if not received:
            raise ConnectionResetError
        return received


def length_of(head: bytes) -> int:
    """Bytes of the body that follows."""
    lines = head.lower().split(b"\r\n")
    return next(int(line[15:]) for line in lines if line.startswith(b"content-length:"))


class Connection:
    """One connection, opened when it is first used."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, request: bytes) -> bool:
        """Whether the answer, read whole, is a 200."""
        try:
            if self._streams is None:
                self._streams = await asyncio.open_connection("127.0.0.1", self._port)
            reader, writer = self._streams
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(length_of(head))
            if b"connection: close" in head.lower():
                self.close()
        except (OSError, asyncio.IncompleteReadError):
            self.close()
            return False
        return head.startswith(b"HTTP/1.1 200")

    def close(self) -> None:
        """Close it; the next question opens it anew."""
        if self._streams:
            self._streams[1].close()
            self._streams = None


def closed_loop(port: int, requests: Sequence[bytes], clients: int, count: int, seconds: float = 60) -> Load:
    """So many clients, each of which asks again as soon as it has its answer; `requests` one after another.

    It ends after `count` requests, or begins none after `seconds`.
    """
    return asyncio.run(_closed(port, requests, clients, count, seconds))


async def _closed(port: int, requests: Sequence[bytes], clients: int, count: int, seconds: float) -> Load:
    times: list[float] = []
    wanted = iter(itertools.islice(itertools.cycle(requests), count))
    began = time.perf_counter()

    async def client() -> int:
        connection = Connection(port)
        errors = 0
        for request in wanted:
            asked = time.perf_counter()
            if asked - began > seconds:
                break
            if await connection.ask(request):
                times.append((time.perf_counter() - asked) * 1000)
            else:
                errors += 1
        connection.close()
        return errors

    errors = sum(await asyncio.gather(*(client() for _ in range(clients))))
    return Load(times, errors, time.perf_counter() - began)


def open_loop(port: int, request: bytes, rate: float, seconds: float) -> Load:
    """Requests at a fixed rate, whether or not the ones before are answered; each is timed from when it was due."""
    return asyncio.run(_open(port, request, rate, seconds))


async def _open(port: int, request: bytes, rate: float, seconds: float) -> Load:
    times: list[float] = []
    idle: list[Connection] = []
    errors = 0
    began = time.perf_counter()

    async def ask(due: float) -> None:
        nonlocal errors
        connection = idle.pop() if idle else Connection(port)
        if await connection.ask(request):
            times.append((time.perf_counter() - due) * 1000)
        else:
            errors += 1
        idle.append(connection)

    async with asyncio.TaskGroup() as group:
        for number in range(int(rate * seconds)):
            due = began + number / rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            group.create_task(ask(due))
    for connection in idle:
        connection.close()
    return Load(times, errors, time.perf_counter() - began)
