"""Takes one submission off the wire: the `request` document and the `checkpoint` file, any order.

The file streams into the store as it arrives and is checked on the way. It does not know what the
request means; whoever calls it deletes the file when the submission is refused later.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from fastapi import Request
from pydantic import BaseModel

from headgraft.service.uploads.checkpoints import (
    START_BYTES,
    Checkpoint,
    CheckpointReader,
    TorchReader,
    reader_for,
)
from headgraft.service.web.idempotency import fingerprint
from headgraft.service.web.multipart import MultipartBody, boundary_of
from headgraft.service.web.pointers import parse
from headgraft.service.web.problems import ProblemError, invalid, invalid_at, too_large
from headgraft.workers.formats.header import Header

BLOCK_BYTES = 1024 * 1024
PARTS = ("request", "checkpoint")
Model = TypeVar("Model", bound=BaseModel)


class Sink(Protocol):
    """Where a file goes while it comes: the artifact store, or nowhere."""

    async def receive(self, path: str, chunks: AsyncIterator[bytes]) -> None:
        """Take what an iterator yields; if it raises, nothing is kept."""


class Nowhere:
    """Takes a file that is only to be looked at."""

    async def receive(self, path: str, chunks: AsyncIterator[bytes]) -> None:  # noqa: ARG002
        """Read to the end."""
        async for _ in chunks:
            pass


@dataclass
class Submission(Generic[Model]):
    """What came with the body; a part that did not come is None. The file lies at `path`."""

    request: Model | None = None
    checkpoint: Checkpoint | None = None
    path: str = ""

    @property
    def fingerprint(self) -> str:
        """Tell two submissions apart by what they say, however they are sent."""
        return fingerprint(self.request, self.checkpoint.sha256 if self.checkpoint else "")


@dataclass(frozen=True)
class Limits:
    """The largest file and the largest request document, in bytes."""

    upload: int
    request: int


# Looks at a header while the file is still coming; returns the tensors whose numbers matter.
# A torch file has no header.
Examine = Callable[[Model, Header | None], Collection[str]]
FILE_NAMES = {CheckpointReader: "checkpoint.safetensors", TorchReader: "checkpoint.pt"}


class Receiver(Generic[Model]):
    """Receives one submission; the file lands in `folder`, a prefix that ends in a slash."""

    def __init__(
        self,
        model: type[Model],
        *,
        store: Sink,
        folder: str,
        limits: Limits,
        examine: Examine[Model],
    ) -> None:
        self._model = model
        self._store = store
        self._folder = folder
        self._limits = limits
        self._examine = examine
        self._submission: Submission[Model] = Submission()

    async def receive(self, request: Request, body: AsyncIterator[bytes]) -> Submission[Model]:
        """Read a request's whole body; ProblemError or HeaderError at the first defect in it."""
        content_type = request.headers.get("content-type", "")
        kind = content_type.partition(";")[0].strip().lower()
        if kind == "application/json":
            await self._take_request(body)
        elif kind == "multipart/form-data":
            await self._take_parts(MultipartBody(body, boundary_of(content_type)))
        else:
            raise ProblemError(
                415,
                "unsupported_media_type",
                f"Content-Type is {kind!r:.80}; legal are multipart/form-data with the parts "
                "request and checkpoint, and application/json",
            )
        return self._submission

    async def _take_parts(self, body: MultipartBody) -> None:
        came: set[str] = set()
        while (name := await body.next_part()) is not None:
            if name not in PARTS or name in came:
                defect = "comes twice" if name in came else "is not known"
                detail = f"part {name!r:.80} {defect}; legal are one request and one checkpoint"
                raise invalid_at("", detail)
            came.add(name)
            if name == "request":
                await self._take_request(body.data())
            else:
                await self._take_checkpoint(body.data())

    async def _take_request(self, chunks: AsyncIterator[bytes]) -> None:
        raw = bytearray()
        async for chunk in chunks:
            raw += chunk
            if len(raw) > self._limits.request:
                raise too_large("the request document", self._limits.request)
        found = await asyncio.to_thread(parse, self._model, bytes(raw))
        if isinstance(found, list):
            raise invalid(found)
        self._submission.request = found

    async def _take_checkpoint(self, chunks: AsyncIterator[bytes]) -> None:
        start = await _first_bytes(chunks)
        reader = reader_for(start[:START_BYTES])
        path = self._folder + FILE_NAMES[type(reader)]
        checked = self._checked(reader, _rejoined(start, chunks))
        await self._store.receive(path, in_blocks(checked))
        self._submission.checkpoint, self._submission.path = reader.finish(), path

    async def _checked(
        self, reader: CheckpointReader | TorchReader, chunks: AsyncIterator[bytes]
    ) -> AsyncIterator[bytes]:
        async for chunk in chunks:
            if reader.feed(chunk):
                reader.scan(await self._tensors(reader))
            self._check_size(reader.bytes)
            yield chunk
        # Within the generator, so that a truncated file is never stored.
        reader.finish()

    def _check_size(self, size: int) -> None:
        if size > self._limits.upload:
            raise too_large("the checkpoint", self._limits.upload)

    async def _tensors(self, reader: CheckpointReader | TorchReader) -> Collection[str] | None:
        self._check_size(reader.size)
        if self._submission.request is None:
            return None
        return await asyncio.to_thread(self._examine, self._submission.request, reader.header)


async def _first_bytes(chunks: AsyncIterator[bytes]) -> bytes:
    """Read on until the file's kind can be told, or the part ends."""
    start = bytearray()
    while len(start) < START_BYTES and (chunk := await anext(chunks, None)) is not None:
        start += chunk
    return bytes(start)


async def _rejoined(start: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield start
    async for chunk in rest:
        yield chunk


async def in_blocks(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Join network chunks to blocks of about a MiB: each costs a trip through the store."""
    held = bytearray()
    async for chunk in chunks:
        held += chunk
        if len(held) >= BLOCK_BYTES:
            yield bytes(held)
            held.clear()
    if held:
        yield bytes(held)
