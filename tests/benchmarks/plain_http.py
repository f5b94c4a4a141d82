"""GET over one connection with as little work as can be: a load that does not wait for itself.

It knows what our own server sends, and no more of HTTP.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Self


@dataclass
class Connection:
    """One kept-alive connection."""

    port: int
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @classmethod
    async def open(cls, port: int) -> Self:
        """Connect to the loopback interface."""
        return cls(port, *await asyncio.open_connection("127.0.0.1", port))

    async def get(self, path: str, version: str = "1.1") -> bytes:
        """Return the body of a 200 whose length is told."""
        length = await self._begin(path, version)
        return await self.reader.readexactly(length)

    async def lines(self, path: str) -> AsyncIterator[str]:
        """Yield a stream's lines to its end; the server closes then."""
        await self._begin(path, "1.0")
        while line := await self.reader.readline():
            yield line.decode().rstrip("\r\n")

    async def _begin(self, path: str, version: str) -> int:
        head = f"GET {path} HTTP/{version}\r\nHost: 127.0.0.1:{self.port}\r\n\r\n"
        self.writer.write(head.encode())
        first, *fields = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        assert " 200 " in first, f"{path}: {first}"
        told = dict(field.lower().split(": ", 1) for field in fields if field)
        return int(told.get("content-length", 0))

    def close(self) -> None:
        """Hang up."""
        self.writer.close()
