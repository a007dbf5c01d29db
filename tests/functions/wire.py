"""A connection to a server on which anything can be said."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from tests.functions.processes import Process


class Wire:
    """What is said and heard, byte by byte."""

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
