"""Downloads of a finished injection: the head and the report."""

import hashlib
from base64 import b64encode
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Annotated

import structlog
from anyio import to_thread
from fastapi import APIRouter, Query, Request, Response
from starlette.responses import StreamingResponse

from headgraft.service.injections import download_formats
from headgraft.service.injections.routes import Own
from headgraft.service.schemas.formats import Format
from headgraft.service.web.context import Context, InContext
from headgraft.service.web.openapi import HEAD_FILE, REPORT, errors, headers_alone
from headgraft.service.web.preconditions import Conditions, Preconditions, Span
from headgraft.service.web.problems import ProblemError
from headgraft.workers.jobs.manifest import Manifest, StoredFile
from headgraft.workers.jobs.spec import Record
from headgraft.workers.store import Damaged

router = APIRouter(prefix="/v1/injections", tags=["injections"])
REPORT_FILE = "report.json"
CHECKED_FIRST_BYTES = 64 * 1024 * 1024
log = structlog.get_logger("headgraft.downloads")


@router.get(
    "/{id}/head",
    operation_id="downloadHead",
    summary="Download the extended checkpoint, or the head alone",
    response_class=StreamingResponse,
    responses={**errors(404, 422), **HEAD_FILE},
)
@router.head(
    "/{id}/head",
    operation_id="inspectHead",
    summary="Ask for a download's headers alone",
    response_class=Response,
    responses={**errors(404, 422), **headers_alone(HEAD_FILE)},
)
async def download_head(
    request: Request,
    context: InContext,
    record: Own,
    conditions: Conditions,
    format: Annotated[  # the contract's name
        Format,
        Query(
            description="`safetensors`: the file as uploaded, its head grown. The head alone: "
            "`onnx` (features to logits), `npz`, `pt` (a state dict), `labels` (`id2label` and "
            "`label2id`). A head that is no rows: `native`, `onnx`, `labels`."
        ),
    ] = "safetensors",
) -> Response:
    """Return the file; ETag is its sha256, and one range of it may be asked for."""
    name = download_formats.head_file(record, format)
    saved = download_formats.saved_as(record, format)
    headers = {"Content-Disposition": f'attachment; filename="{saved}"'}
    download = Download(context, record, name, download_formats.MEDIA_TYPES[format], headers)
    return await download.answer(request, conditions)


@router.get(
    "/{id}/report",
    operation_id="readReport",
    summary="Read the report of a finished injection",
    response_class=StreamingResponse,
    responses={**errors(404, 422), **REPORT},
)
@router.head(
    "/{id}/report",
    operation_id="inspectReport",
    summary="Ask for a report's headers alone",
    response_class=Response,
    responses={**errors(404, 422), **headers_alone(REPORT)},
)
async def read_report(
    request: Request,
    context: InContext,
    record: Own,
    conditions: Conditions,
    format: Annotated[  # the contract's name
        download_formats.ReportFormat | None, Query(description="Goes before what Accept prefers.")
    ] = None,
) -> Response:
    """Return the report: as JSON, or as a page to look at where HTML is preferred."""
    chosen = download_formats.report_format(format, request.headers.getlist("accept"))
    headers = {"Vary": "Accept"}
    name = REPORT_FILE
    if chosen == "html":
        name = download_formats.PAGE_FILE
        _artifact(record, name)
        assert record.manifest is not None
        assert record.manifest.page is not None
        headers |= download_formats.page_headers(record.manifest.page)
    download = Download(context, record, name, download_formats.REPORT_MEDIA_TYPES[chosen], headers)
    return await download.answer(request, conditions)


@dataclass(frozen=True)
class Download:
    """One file of a finished injection, on its way to a client.

    A small file is compared with its SHA-256 before a byte of it is sent, a large one as it goes
    out: its last bytes are held back until then. A part of a large one is not compared; the
    workers' janitor reads all files from time to time.
    """

    context: Context
    record: Record
    name: str
    media_type: str
    headers: Mapping[str, str]

    async def answer(self, request: Request, conditions: Preconditions) -> Response:
        """Return the file, the part of it that was asked for, or why neither; it is streamed."""
        about = _artifact(self.record, self.name)
        tag, size = f'"{about.sha256}"', about.bytes
        headers = {**self.headers, **_told(about, tag)}
        if conditions.verdict(tag) == "not_modified":
            return Response(status_code=304, headers=headers)
        # A range is defined for GET alone.
        if request.method == "HEAD":
            return self._headers_alone(headers, size)
        span = conditions.span(tag, size)
        if span:
            headers["Content-Range"] = f"bytes {span[0]}-{span[1] - 1}/{size}"
            size = span[1] - span[0]
        return await self._content(headers | {"Content-Length": str(size)}, span, about)

    def _headers_alone(self, headers: Mapping[str, str], size: int) -> Response:
        length = {"Content-Length": str(size)}
        return Response(media_type=self.media_type, headers={**headers, **length})

    async def _content(
        self, headers: Mapping[str, str], span: Span | None, about: StoredFile
    ) -> Response:
        assert self.record.manifest is not None
        path = self.record.manifest.prefix + self.name
        is_large = about.bytes > CHECKED_FIRST_BYTES and self.name not in self.record.damaged.split(
            ","
        )
        if not is_large:
            await self._check(path, about.sha256)
        chunks = await self.context.store.stream(path, span)
        if is_large and span is None:
            chunks = self._checked(chunks, about.sha256)
        status = 206 if span else 200
        return StreamingResponse(chunks, status, headers, media_type=self.media_type)

    async def _check(self, path: str, sha256: str) -> None:
        try:
            await to_thread.run_sync(self.context.store.verify, path, sha256)
        except Damaged as error:
            await self._note_damage()
            detail = (
                f"the artifact store no longer has the bytes of {self.name} that injection "
                f"{self.record.id} left: send its request again, and it is computed anew"
            )
            raise ProblemError(409, "artifact_damaged", detail) from error

    async def _checked(self, chunks: AsyncIterator[bytes], sha256: str) -> AsyncIterator[bytes]:
        """Pass a file's bytes on, the last of them only if its hash is right; else Damaged."""
        found, held = hashlib.sha256(), b""
        async for chunk in chunks:
            yield held
            await to_thread.run_sync(found.update, chunk)
            held = chunk
        if found.hexdigest() != sha256:
            await self._note_damage()
            raise Damaged(self.name)
        yield held

    async def _note_damage(self) -> None:
        log.error("artifact_damaged", job=self.record.id, file=self.name)
        await self.context.ledger.note_damage(self.record.id, self.name)


def _told(about: StoredFile, tag: str) -> dict[str, str]:
    """Say what holds of a whole file, whichever part of it is sent."""
    digest = b64encode(bytes.fromhex(about.sha256)).decode()
    return {
        "ETag": tag,
        "Repr-Digest": f"sha-256=:{digest}:",
        "Accept-Ranges": "bytes",
        # Its owner's, and gone once it is deleted: kept, but asked about every time.
        "Cache-Control": "private, no-cache",
    }


def _artifact(record: Record, name: str) -> StoredFile:
    if record.status == "succeeded" and record.manifest:
        about = record.manifest.files.get(name)
        if about is None:
            detail = f"injection {record.id} left no {name}; it left {_left(record.manifest)}"
            raise ProblemError(404, "not_found", detail)
        return about
    if record.error:
        raise ProblemError(409, record.error.code, f"it failed: {record.error.message}")
    if record.status == "cancelled":
        raise ProblemError(409, "conflict", f"injection {record.id} was cancelled")
    detail = f"injection {record.id} is {record.status}: there is nothing to download yet"
    raise ProblemError(409, "not_ready", detail, headers={"Retry-After": "1"})


def _left(manifest: Manifest) -> str:
    return ", ".join(sorted(manifest.files))
