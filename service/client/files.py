"""Saves a download to a file, and resumes one that broke off."""

import hashlib
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import httpx

from headgraft.retries import Retries
from headgraft.transport import Answer, Transport


class FileDownload:
    """A file on its way from `path` into a new local file, `part`."""

    def __init__(self, transport: Transport, retries: Retries, url: str, path: str) -> None:
        self._transport = transport
        self._retries = retries
        self._url = url
        self._path = path
        self._tag: str | None = None

    async def save(self, part: Path) -> str:
        """Write the file and return its sha256; HeadgraftError where it cannot be had."""
        with part.open("xb") as file:
            tries = 0
            while True:
                start, tries = file.tell(), tries + 1
                outcome = await self._try(file)
                if outcome is None:
                    os.fsync(file.fileno())
                    break
                if file.tell() > start:  # it gets on
                    tries = 1
                await self._retries.wait(self._transport, self._url, "GET", outcome, tries)
        with part.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    async def _try(self, file: BinaryIO) -> httpx.Response | httpx.TransportError | None:
        """Receive the file, or the rest of it; return what went wrong."""
        try:
            async with self._transport.stream(
                "GET", self._path, headers=self._rest(file)
            ) as answer:
                if not answer.reply.is_success:
                    await answer.whole()
                    return answer.reply
                await self._receive(answer, file)
        except httpx.TransportError as error:
            return error
        return None

    def _rest(self, file: BinaryIO) -> dict[str, str]:
        # A byte range of a compressed body could not be resumed.
        headers = {"Accept-Encoding": "identity"}
        if file.tell() and self._tag:
            headers |= {"Range": f"bytes={file.tell()}-", "If-Range": self._tag}
        return headers

    async def _receive(self, answer: Answer, file: BinaryIO) -> None:
        if answer.reply.status_code != httpx.codes.PARTIAL_CONTENT:
            file.seek(0)
            file.truncate()
        self._tag = answer.reply.headers.get("etag")
        async for chunk in answer.chunks:
            file.write(chunk)


class UploadFile(io.FileIO):
    """A file read from disk as it is sent, with `on_read(bytes so far, bytes in all)`."""

    def __init__(self, path: Path, on_read: Callable[[int, int], None] | None) -> None:
        super().__init__(path, "rb")
        self._total = path.stat().st_size
        self._on_read = on_read

    def read(self, size: int | None = -1) -> bytes:
        """Read up to `size` bytes."""
        chunk = super().read(-1 if size is None else size) or b""
        if self._on_read:
            self._on_read(self.tell(), self._total)
        return chunk
