"""Clients that cost little beside the service they ask: plain HTTP/1.1 over kept-alive connections."""

import asyncio
import itertools
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
            lines = head.lower().split(b"\r\n")
            length = next(int(line[15:]) for line in lines if line.startswith(b"content-length:"))
            await reader.readexactly(length)
            if b"connection: close" in lines:
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


def closed_loop(port: int, requests: Sequence[bytes], clients: int, count: int) -> Load:
    """So many clients, each of which asks again as soon as it has its answer; `requests` one after another."""
    return asyncio.run(_closed(port, requests, clients, count))


async def _closed(port: int, requests: Sequence[bytes], clients: int, count: int) -> Load:
    times: list[float] = []
    wanted = iter(itertools.islice(itertools.cycle(requests), count))
    began = time.perf_counter()

    async def client() -> int:
        connection = Connection(port)
        errors = 0
        for request in wanted:
            asked = time.perf_counter()
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
