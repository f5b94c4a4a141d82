"""Receives one upload: the request document and the file, in either order, checked on the way."""

from collections.abc import AsyncIterator, Callable, Collection
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from anyio import to_thread
from fastapi import Request
from pydantic import BaseModel

from headgraft.service.uploads.checkpoints import Checkpoint, reader_for
from headgraft.service.uploads.feature_files import FeaturesReader
from headgraft.service.web.context import Context, identity_of
from headgraft.service.web.idempotency import IdempotencyLock, fingerprint
from headgraft.service.web.multipart import MultipartBody, boundary_of
from headgraft.service.web.pointers import parse
from headgraft.service.web.problems import ProblemError, invalid, invalid_at, too_large
from headgraft.workers.formats.foreign import START_BYTES
from headgraft.workers.formats.header import Header
from headgraft.workers.jobs.spec import StoredFeatures
from headgraft.workers.store import Store

BLOCK_BYTES = 1024 * 1024
Document = TypeVar("Document", bound=BaseModel)
File = TypeVar("File", bound=Checkpoint | StoredFeatures)
FileOut = TypeVar("FileOut", covariant=True)


class _FileReader(Protocol[FileOut]):
    """What `CheckpointReader`, `TorchReader` and `FeaturesReader` have in common."""

    @property
    def file_name(self) -> str: ...
    @property
    def header(self) -> Header | None: ...
    @property
    def size(self) -> int: ...
    def feed(self, chunk: bytes) -> bool: ...
    def scan(self, names: Collection[str] | None) -> None: ...
    def finish(self, path: str) -> FileOut: ...


@dataclass(frozen=True)
class UploadKind(Generic[File]):
    """The parts of an upload, and how its file is checked."""

    file_part: str
    noun: str
    parts: tuple[str, ...]
    legal_parts: str
    legal_types: str
    reader_for: Callable[[bytes], _FileReader[File]]


CHECKPOINT = UploadKind(
    file_part="checkpoint",
    noun="the checkpoint",
    parts=("request", "checkpoint"),
    legal_parts="legal are one request and one checkpoint",
    legal_types="legal are multipart/form-data with the parts request and checkpoint, and "
    "application/json",
    reader_for=reader_for,
)
FEATURES = UploadKind(
    file_part="features",
    noun="the features file",
    parts=("features",),
    legal_parts="legal is one features",
    legal_types="legal is multipart/form-data with the part features",
    reader_for=lambda _: FeaturesReader(),
)


class UploadReceiver(Generic[Document, File]):
    """Receives one upload in two steps, so that it can be refused between them.

    `document` and `file` are None until they have come.
    """

    def __init__(
        self,
        kind: UploadKind[File],
        model: type[Document],
        context: Context,
        request: Request,
        lock: IdempotencyLock,
    ) -> None:
        self._kind = kind
        self._model = model
        self._content_type = request.headers.get("content-type", "")
        self._body = lock.stream(request)
        allowed = identity_of(request).limits.upload_bytes
        self._file_bytes_max = allowed or context.settings.upload_bytes_max
        self._document_bytes_max = context.settings.request_bytes_max
        self._came: set[str] = set()
        self._start = bytearray()
        self.document: Document | None = None
        self.reader: _FileReader[File] | None = None
        self.file: File | None = None

    async def read_start(self) -> None:
        """Read up to the file's first tensor: the header, and the document where it comes first.

        ProblemError or HeaderError at the first defect. Without a file, the whole body is read.
        """
        media_type = self._content_type.partition(";")[0].strip().lower()
        if media_type == "multipart/form-data":
            self._parts = MultipartBody(self._body, boundary_of(self._content_type))
            await self._read_parts()
        elif media_type == "application/json" and "request" in self._kind.parts:
            await self._read_document(self._body)
        else:
            detail = f"Content-Type is {media_type!r:.80}; {self._kind.legal_types}"
            raise ProblemError(415, "unsupported_media_type", detail)

    async def receive_file(
        self, store: Store | None, folder: str, names: Collection[str] | None
    ) -> None:
        """Stream the file into `folder` of the store, and read the rest of the body.

        `names` are the tensors to look for NaN and Inf in; None means all that could be a head.
        A file that is refused leaves nothing in the store. Without a store it is only checked.
        """
        if self.reader is None:
            return
        path = folder + self.reader.file_name
        chunks = self._checked(self.reader, path, names)
        if store:
            await store.receive(path, in_blocks(chunks))
        else:
            async for _ in chunks:
                pass
        await self._read_parts()

    async def discard(self) -> str:
        """Read and check an upload, keeping none of it; return its fingerprint."""
        await self.read_start()
        await self.receive_file(None, "", ())
        return self.fingerprint

    @property
    def required_file(self) -> File:
        """The file; a 422 problem where none came."""
        if self.file is None:
            part = self._kind.file_part
            raise invalid_at("", f"the part {part} is missing: it holds the file")
        return self.file

    @property
    def fingerprint(self) -> str:
        """Identify the upload by its content, in whatever form it was sent."""
        return fingerprint(self.document, self.file.sha256 if self.file else "")

    async def _read_parts(self) -> None:
        while (name := await self._parts.next_part()) is not None:
            if name not in self._kind.parts or name in self._came:
                defect = "comes twice" if name in self._came else "is not known"
                raise invalid_at("", f"part {name!r:.80} {defect}; {self._kind.legal_parts}")
            self._came.add(name)
            if name == self._kind.file_part:
                await self._read_header()
                return
            await self._read_document(self._parts.data())

    async def _read_document(self, chunks: AsyncIterator[bytes]) -> None:
        raw = bytearray()
        async for chunk in chunks:
            raw += chunk
            if len(raw) > self._document_bytes_max:
                raise too_large("the request document", self._document_bytes_max)
        parsed = await to_thread.run_sync(parse, self._model, bytes(raw))
        if isinstance(parsed, list):
            raise invalid(parsed)
        self.document = parsed

    async def _read_header(self) -> None:
        """Feed the reader until the header is known; HeaderError where the part ends before."""
        self._chunks = self._parts.data()
        while len(self._start) < START_BYTES and (chunk := await anext(self._chunks, b"")):
            self._start += chunk
        self.reader = self._kind.reader_for(bytes(self._start[:START_BYTES]))
        is_known = self._feed(self.reader, bytes(self._start))
        while not is_known and (chunk := await anext(self._chunks, b"")):
            self._start += chunk
            is_known = self._feed(self.reader, chunk)
        if not is_known:
            self.reader.finish("")

    def _feed(self, reader: _FileReader[File], chunk: bytes) -> bool:
        is_known = reader.feed(chunk)
        if reader.size > self._file_bytes_max:
            raise too_large(self._kind.noun, self._file_bytes_max)
        return is_known

    async def _checked(
        self, reader: _FileReader[File], path: str, names: Collection[str] | None
    ) -> AsyncIterator[bytes]:
        reader.scan(names)
        yield bytes(self._start)
        self._start.clear()
        async for chunk in self._chunks:
            self._feed(reader, chunk)
            yield chunk
        # Within the generator, so that a truncated file is never stored.
        self.file = reader.finish(path)


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
