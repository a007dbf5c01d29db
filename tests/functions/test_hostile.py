"""Clients that are slow, endless, gone or too many, at the level of sockets; and being stopped meanwhile."""

import asyncio
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path

import httpx
import pytest

from tests.functions import processes
from tests.functions.photos import form, huge, leaf
from tests.functions.processes import Process
from tests.functions.wire import Wire, connect, head

JPEG = {"content-type": "image/jpeg"}
MB = 1024 * 1024
BODY_TIMEOUT_S = 1
CHUNK = b"10000\r\n" + bytes(0x10000) + b"\r\n"

pytestmark = pytest.mark.usefixtures("unharmed")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Process]:
    with processes.container(folder, PLANT_BODY_TIMEOUT_S=str(BODY_TIMEOUT_S), PLANT_MODEL_LOADING="eager") as process:
        yield process


def test_a_body_that_stops_coming(server: Process) -> None:
    async def run(framing: str, piece: bytes) -> None:
        async with connect(server) as wire:
            start = time.monotonic()
            await wire.say(head(framing))
            await wire.say(piece)
            status, headers, body = await wire.answer()
            assert BODY_TIMEOUT_S - 0.1 < time.monotonic() - start < BODY_TIMEOUT_S + 5
            assert (status, b'"body_timeout"' in body) == (408, True)
            assert headers["connection"] == "close"
            assert headers["content-type"] == "application/problem+json"
            await wire.closed(5)

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
            await wire.closed(5)
            assert time.monotonic() - start < BODY_TIMEOUT_S + 5
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
    await wire.closed(5)
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
            await wire.say(head(f"Content-Length: {announced}"))
            # Not 408: nobody waited for it.
            status, headers, body = await wire.answer()
            assert (status, b"body_too_large" in body, headers["connection"]) == (413, True, "close")
            await wire.closed(5)

    asyncio.run(run())


def test_whoever_waits_to_be_asked_is_not_asked(server: Process) -> None:
    async def run() -> None:
        async with connect(server) as wire:
            await wire.say(head(f"Content-Length: {40 * MB}", "Expect: 100-continue"))
            status, headers, _ = await wire.answer()
            assert (status, headers["connection"]) == (413, "close")
            await wire.closed(5)
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
            await wire.closed(5)

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
