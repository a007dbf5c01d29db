"""Clients that are slow, endless, gone or too many, at the level of sockets; and being stopped meanwhile."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, asynccontextmanager, suppress
from pathlib import Path

import httpx
import pytest

from tests.functions import processes
from tests.functions.photos import form, huge, leaf
from tests.functions.processes import Process

JPEG = {"content-type": "image/jpeg"}
MB = 1024 * 1024
BODY_TIMEOUT_S = 1


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Process]:
    with processes.container(folder, PLANT_BODY_TIMEOUT_S=str(BODY_TIMEOUT_S), PLANT_MODEL_LOADING="eager") as process:
        yield process


@pytest.fixture(autouse=True)
def _unharmed(server: Process) -> Iterator[None]:
    """Whatever was done to it, the server serves the next one, and has noticed nothing that anyone must look at."""
    before = len(server.log())
    yield
    assert httpx.post(f"{server.url}/predict", content=leaf(), headers=JPEG, trust_env=False).status_code == 200
    assert "ERROR" not in server.log()[before:]
    assert "Traceback" not in server.log()[before:]


class Wire:
    """A connection on which anything can be said."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def say(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def head(self) -> tuple[int, dict[str, str]]:
        """Status and headers of the next answer."""
        raw = await self.reader.readuntil(b"\r\n\r\n")
        first, *lines = raw.decode().strip().split("\r\n")
        return int(first.split()[1]), {k.lower(): v for k, v in (line.split(": ", 1) for line in lines)}

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        """The next answer, whole."""
        status, headers = await self.head()
        return status, headers, await self.reader.readexactly(int(headers["content-length"]))

    async def closed(self, within_s: float) -> None:
        """Wait until the server has closed the connection."""
        async with asyncio.timeout(within_s):
            # Whoever is still sending hears of it in one way or another.
            with suppress(ConnectionError):
                while await self.reader.read(65536):
                    pass


@asynccontextmanager
async def connect(server: Process) -> AsyncIterator[Wire]:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        yield Wire(reader, writer)
    finally:
        writer.close()


def head(*headers: str, path: str = "/predict", media_type: str = "image/jpeg") -> bytes:
    lines = (f"POST {path} HTTP/1.1", "Host: x", f"Content-Type: {media_type}", *headers)
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


CHUNK = b"10000\r\n" + bytes(0x10000) + b"\r\n"


def test_a_body_that_stops_coming(server: Process) -> None:
    async def run(framing: str, piece: bytes) -> None:
        async with connect(server) as wire:
            start = time.monotonic()
            await wire.say(head(framing))
            await wire.say(piece)
            status, headers, body = await wire.answer()
            assert time.monotonic() - start == pytest.approx(BODY_TIMEOUT_S, abs=0.7)
            assert (status, b'"body_timeout"' in body) == (408, True)
            assert headers["connection"] == "close"
            assert headers["content-type"] == "application/problem+json"
            await wire.closed(2)

    async def both() -> None:
        await asyncio.gather(
            run("Content-Length: 100000", b"\xff\xd8\xff"), run("Transfer-Encoding: chunked", b"3\r\n\xff\xd8\xff\r\n")
        )

    asyncio.run(both())


FORM = "multipart/form-data; boundary=edge"
STARTS = {
    "image/jpeg": leaf()[:1000],
    FORM: form(leaf())[0][:1000],
    "application/json": b'{"image": "',
}
"""How a good body starts."""


@pytest.mark.parametrize("media_type", STARTS)
def test_a_body_that_trickles(server: Process, media_type: str) -> None:
    async def run() -> None:
        async with connect(server) as wire:
            start = time.monotonic()
            await wire.say(head("Content-Length: 100000", media_type=media_type) + STARTS[media_type])

            async def trickle() -> None:
                while True:
                    await wire.say(b"-")
                    await asyncio.sleep(0.05)

            trickling = asyncio.create_task(trickle())
            status, headers, _ = await wire.answer()
            assert (status, headers["connection"]) == (408, "close")
            await wire.closed(2)
            assert time.monotonic() - start < BODY_TIMEOUT_S + 3
            trickling.cancel()
            await asyncio.gather(trickling, return_exceptions=True)

    asyncio.run(run())


async def flooded_until_refused(server: Process, wire: Wire, expected: int) -> int:
    """Send chunks until the server has answered with this status and closed; the most memory it had meanwhile."""
    most = 0

    async def flood() -> None:
        nonlocal most
        while True:
            await wire.say(CHUNK)
            # A server that keeps up never makes the writer wait, and then nobody would read its answer in time.
            await asyncio.sleep(0)
            most = max(most, server.memory())

    flooding = asyncio.create_task(flood())
    async with asyncio.timeout(10):
        status, headers, _ = await wire.answer()
    assert (status, headers["connection"]) == (expected, "close")
    await wire.closed(3)
    flooding.cancel()
    await asyncio.gather(flooding, return_exceptions=True)
    return most


@pytest.mark.parametrize(
    ("media_type", "path", "expected"),
    [
        ("image/jpeg", "/predict", 413),
        ("application/json", "/predict", 413),
        ("text/plain", "/predict", 415),
        ("image/jpeg", "/nowhere", 404),
        ("image/jpeg", "/predict?top_k=0", 422),
        ("image/jpeg", "/health/live", 405),
    ],
)
def test_a_body_without_end(server: Process, media_type: str, path: str, expected: int) -> None:
    before, most = server.memory(), 0

    async def run() -> None:
        nonlocal most
        async with connect(server) as wire:
            await wire.say(head("Transfer-Encoding: chunked", path=path, media_type=media_type))
            most = await flooded_until_refused(server, wire, expected)

    asyncio.run(run())
    # The limit of a body is 32 MiB; to join its chunks takes as much again.
    assert most - before < 100 * MB


def test_a_form_without_end(server: Process) -> None:
    before, most = server.memory(), 0

    async def run() -> None:
        nonlocal most
        async with connect(server) as wire:
            await wire.say(head("Transfer-Encoding: chunked", media_type=FORM))
            start = form(b"")[0].removesuffix(b"\r\n--edge--\r\n")
            await wire.say(f"{len(start):x}\r\n".encode() + start + b"\r\n")
            most = await flooded_until_refused(server, wire, 413)

    asyncio.run(run())
    assert most - before < 150 * MB


@pytest.mark.parametrize("announced", [32 * MB + 1, 10**12, 10**17])
def test_an_announced_body_that_is_too_large(server: Process, announced: int) -> None:
    async def run() -> None:
        async with connect(server) as wire:
            start = time.monotonic()
            await wire.say(head(f"Content-Length: {announced}"))
            status, headers, body = await wire.answer()
            assert time.monotonic() - start < 0.5
            assert (status, b"body_too_large" in body, headers["connection"]) == (413, True, "close")
            await wire.closed(2)

    asyncio.run(run())


def test_whoever_waits_to_be_asked_is_not_asked(server: Process) -> None:
    async def run() -> None:
        async with connect(server) as wire:
            await wire.say(head(f"Content-Length: {40 * MB}", "Expect: 100-continue"))
            status, headers, _ = await wire.answer()
            assert (status, headers["connection"]) == (413, "close")
            await wire.closed(0.5)
        async with connect(server) as wire:
            await wire.say(head(f"Content-Length: {len(leaf())}", "Expect: 100-continue"))
            assert (await wire.head())[0] == 100
            await wire.say(leaf())
            assert (await wire.answer())[0] == 200

    asyncio.run(run())


def test_the_answer_is_not_lost_to_a_reset(server: Process) -> None:
    # The client sends all before it reads. Closed at once, its connection would be reset, and the answer with it.
    async def run() -> None:
        async with connect(server) as wire:
            body = bytes(33 * MB)
            await wire.say(head(f"Content-Length: {len(body)}"))
            await wire.say(body)
            await asyncio.sleep(0.2)
            assert (await wire.answer())[0] == 413
            await wire.closed(2)

    asyncio.run(run())


def test_a_small_body_keeps_the_connection(server: Process) -> None:
    async def run() -> None:
        async with connect(server) as wire:
            request = head(f"Content-Length: {len(leaf())}", media_type="text/plain") + leaf()
            for _ in range(3):
                await wire.say(request)
                status, headers, _ = await wire.answer()
                assert (status, headers.get("connection")) == (415, None)
            await wire.say(head(f"Content-Length: {len(leaf())}") + leaf())
            assert (await wire.answer())[0] == 200

    asyncio.run(run())


@pytest.mark.parametrize("media_type", STARTS)
def test_a_client_that_goes_away(server: Process, media_type: str) -> None:
    async def run() -> None:
        for data in (b"", STARTS[media_type], STARTS[media_type] + b"A" * 50_000):
            async with connect(server) as wire:
                request_id = f"gone-{media_type.partition(';')[0].replace('/', '-')}-{len(data)}"
                announced = head(f"Content-Length: {MB}", f"X-Request-Id: {request_id}", media_type=media_type)
                await wire.say(announced + data)
                await asyncio.sleep(0.05)
            line = await asyncio.to_thread(server.log_line, request_id)
            assert (line["status"], line["severity"]) == (499, "INFO")

    asyncio.run(run())


def test_a_client_that_goes_away_before_the_answer(server: Process) -> None:
    async def run() -> None:
        async with connect(server) as wire:
            await wire.say(head(f"Content-Length: {len(huge())}", "X-Request-Id: impatient") + huge())
            await asyncio.sleep(0.05)
        await asyncio.to_thread(server.log_line, "impatient")

    asyncio.run(run())


FLOODS = {
    "the path": (b"GET /", b"a" * 66_000),
    "a name": (b"GET / HTTP/1.1\r\n", b"a" * 66_000),
    "a value": (b"GET / HTTP/1.1\r\na: ", b"a" * 66_000),
    "headers": (b"GET / HTTP/1.1\r\n", b"a: b\r\n" * 11_000),
    "lines before it": (b"", b"\r\n" * 33_000),
    "trailers": (head("Transfer-Encoding: chunked") + b"1\r\n\0\r\n0\r\n", b"a: b\r\n" * 11_000),
}


@pytest.mark.parametrize("flood", FLOODS)
def test_a_head_without_end(server: Process, flood: str) -> None:
    begin, more = FLOODS[flood]
    before = server.memory()

    async def run() -> None:
        async with connect(server) as wire:
            # No more than is read before the answer: the reset that follows what is not read overtakes it.
            await wire.say(begin)
            await asyncio.sleep(0.1)
            await wire.say(more[:65_600])
            status, headers = await wire.head()
            assert (status, headers["connection"]) == (400, "close")
            await wire.closed(2)
        async with connect(server) as wire, asyncio.timeout(20):
            with suppress(ConnectionError):
                await wire.say(begin)
                while True:
                    await wire.say(more)
                    await asyncio.sleep(0)

    asyncio.run(run())
    assert server.memory() - before < 20 * MB


def test_a_long_head(server: Process) -> None:
    async def run() -> None:
        async with connect(server) as wire:
            for _ in range(3):
                long = [f"X-Long-{number}: {'a' * 7000}" for number in range(2)]
                await wire.say(head(*long, f"Content-Length: {len(leaf())}") + leaf())
                assert (await wire.answer())[0] == 200

    asyncio.run(run())


def test_many_requests_at_once(server: Process) -> None:
    """Sent without waiting for answers: no more of them are read than can be answered."""
    request = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"
    before = server.memory()

    async def run() -> None:
        async with connect(server) as wire:
            await wire.say(request * 100)
            for _ in range(100):
                assert (await wire.answer())[0] == 200
        async with connect(server) as wire:
            with suppress(TimeoutError):
                async with asyncio.timeout(3):
                    while True:
                        await wire.say(request * 1000)

    asyncio.run(run())
    assert server.memory() - before < 20 * MB


def test_an_answer_is_not_lost_to_nonsense_behind_it(server: Process) -> None:
    async def run() -> None:
        async with connect(server) as wire:
            await wire.say(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n\0nonsense\r\n\r\n")
            assert (await wire.answer())[0] == 200

    asyncio.run(run())


def test_trailers_are_no_headers(server: Process) -> None:
    async def run() -> None:
        async with connect(server) as wire:
            body = b"%x\r\n" % len(leaf()) + leaf() + b"\r\n0\r\nX-Request-Id: from-a-trailer\r\n\r\n"
            await wire.say(head("Transfer-Encoding: chunked") + body)
            status, headers, _ = await wire.answer()
            assert (status, headers["x-request-id"] == "from-a-trailer") == (200, False)

    asyncio.run(run())


def test_another_protocol_is_not_spoken(server: Process) -> None:
    # https://www.rfc-editor.org/rfc/rfc9110#section-7.8: a server may ignore an Upgrade. curl --http2 sends this one.
    async def run() -> None:
        for protocol in ("h2c", "websocket"):
            asking = head("Connection: Upgrade, X-Not", f"Upgrade: {protocol}", f"Content-Length: {len(leaf())}")
            for cut in (0, 20, len(asking) - 3, len(asking), len(asking) + 1000):
                async with connect(server) as wire:
                    for _ in range(2):
                        await wire.say((asking + leaf())[:cut])
                        await asyncio.sleep(0.01)
                        await wire.say((asking + leaf())[cut:])
                        assert (await wire.answer())[0] == 200

    asyncio.run(run())


def test_nonsense_instead_of_http(server: Process) -> None:
    async def run() -> None:
        for nonsense in (
            b"\x16\x03\x01\x02\0\1\0\1\xfc\3\3",
            b"GET\r\n\r\n",
            b"\0" * 5000,
            b"A" * 100_000 + b"\r\n\r\n",
        ):
            async with connect(server) as wire:
                await wire.say(nonsense)
                assert (await wire.head())[0] == 400
                await wire.closed(2)

    asyncio.run(run())


def test_overload(folder: Path) -> None:
    with processes.container(folder, PLANT_MAX_QUEUE="1", PLANT_THREADS="1", PLANT_MODEL_LOADING="eager") as server:
        url = f"{server.url}/predict"

        def ask(_: int) -> tuple[int, float, httpx.Response]:
            start = time.monotonic()
            answer = httpx.post(url, content=huge(), headers={"content-type": "image/png"}, trust_env=False, timeout=30)
            return answer.status_code, time.monotonic() - start, answer

        with ThreadPoolExecutor(30) as pool:
            answers = list(pool.map(ask, range(30)))
        assert {status for status, _, _ in answers} == {200, 503}
        for status, seconds, answer in answers:
            if status == 503:
                assert answer.json()["code"] == "overloaded"
                assert int(answer.headers["retry-after"]) >= 1
                assert seconds < 5
        assert httpx.get(f"{server.url}/health/live", trust_env=False).status_code == 200
        for _ in range(3):
            assert ask(0)[0] == 200
        # Two places, and nobody keeps one.
        with ThreadPoolExecutor(2) as pool:
            assert [status for status, _, _ in pool.map(ask, range(2))] == [200, 200]


def test_bodies_on_their_way_are_bounded_together(folder: Path) -> None:
    with processes.container(folder, PLANT_MAX_BODIES_BYTES=str(MB), PLANT_MODEL_LOADING="eager") as server:

        async def run() -> None:
            async with connect(server) as wire:
                await wire.say(head(f"Content-Length: {2 * MB}") + bytes(MB - 10_000))

                def ask() -> httpx.Response:
                    return httpx.post(f"{server.url}/predict", content=leaf(), headers=JPEG, trust_env=False)

                deadline = time.monotonic() + 20
                while (answer := await asyncio.to_thread(ask)).status_code == 200:
                    assert time.monotonic() < deadline, "what is received counts"
                assert (answer.status_code, answer.json()["code"]) == (503, "overloaded")
                assert answer.headers["retry-after"] == "1"
            while (await asyncio.to_thread(ask)).status_code != 200:
                assert time.monotonic() < deadline, "what is gone does not"

        asyncio.run(run())


# Uvicorn, once done, ends by the signal that it was sent; as the first process of a container that is an exit with 0.
@pytest.mark.parametrize(("start", "expected"), [(processes.uvicorn, -signal.SIGTERM), (processes.serve, 0)])
def test_sigterm_lets_finish_what_runs(
    start: Callable[..., AbstractContextManager[Process]], expected: int, folder: Path
) -> None:
    photo = huge()  # takes a while to make the first time
    with start(folder, PLANT_THREADS="1", PLANT_MODEL_LOADING="eager") as server:
        url = f"{server.url}/predict"
        assert httpx.post(url, content=leaf(), headers=JPEG, trust_env=False).status_code == 200

        # One client for all: each client of its own takes its time to be made, and here all must have asked by then.
        with httpx.Client(trust_env=False, timeout=30) as client, ThreadPoolExecutor(12) as pool:
            asked = [
                pool.submit(client.post, url, content=photo, headers={"content-type": "image/png"}) for _ in range(12)
            ]
            time.sleep(0.4)
            assert not all(each.done() for each in asked)
            code = server.terminate(within_s=10)
            assert [each.result().status_code for each in asked] == [200] * 12
            assert code == expected
            with pytest.raises(httpx.ConnectError):
                client.get(server.url)
