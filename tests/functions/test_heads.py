"""What stands before, between and after bodies: heads, requests sent ahead, trailers, other protocols."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.functions import processes
from tests.functions.photos import leaf
from tests.functions.processes import Process
from tests.functions.wire import connect, head

MB = 1024 * 1024

pytestmark = pytest.mark.usefixtures("unharmed")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Process]:
    with processes.container(folder, PLANT_MODEL_LOADING="eager") as process:
        yield process


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
            await wire.closed(5)
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
                await wire.closed(5)

    asyncio.run(run())
