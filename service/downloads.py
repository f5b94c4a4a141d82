"""What a finished injection left, to download: the head and the report.

It does not know how the files were made, nor anything of jobs that still run.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response
from starlette.responses import StreamingResponse

from service import head_formats, report_page
from service.context import Context, InContext
from service.injections import Own
from service.openapi import NOT_READY, REPORT, errors
from service.problems import ProblemError
from workers.jobs import Record

router = APIRouter(prefix="/v1/injections", tags=["injections"])
REPORT_FILE = "report.json"


@router.get(
    "/{id}/head",
    operation_id="downloadHead",
    summary="Download the extended checkpoint",
    response_class=StreamingResponse,
    responses={**errors(404, 422), **NOT_READY},
)
async def download_head(
    context: InContext,
    record: Own,
    format: Annotated[  # noqa: A002  # the contract's name
        head_formats.Format | None, Query(description="Only for a head that is no rows.")
    ] = None,
    if_none_match: Annotated[str | None, Header()] = None,
) -> Response:
    """Return the file as uploaded, its head grown; ETag is its sha256.

    A head of another kind (`conse`) has files of its own: ask for `native` or `onnx`.
    """
    name = head_formats.head_file(record, format)
    about = _artifact(record, name)
    saved = f"{record.id}.{head_formats.SUFFIXES[name]}"
    headers = {
        "ETag": f'"{about["sha256"]}"',
        "Content-Disposition": f'attachment; filename="{saved}"',
    }
    if if_none_match and headers["ETag"] in if_none_match:
        return Response(status_code=304, headers=headers)
    return await _send(context, record, name, "application/octet-stream", headers)


@router.get(
    "/{id}/report",
    operation_id="readReport",
    summary="Read the report of a finished injection",
    response_class=StreamingResponse,
    responses={**errors(404, 422), **NOT_READY, **REPORT},
)
async def read_report(
    request: Request,
    context: InContext,
    record: Own,
    format: Annotated[  # noqa: A002  # the contract's name
        report_page.Format | None, Query(description="Goes before what Accept prefers.")
    ] = None,
) -> Response:
    """Return the report: as JSON, or as a page to look at where HTML is preferred."""
    chosen = report_page.wanted(format, request.headers.getlist("accept"))
    headers = {"Vary": "Accept"}
    if chosen == "json":
        return await _send(context, record, REPORT_FILE, report_page.MEDIA_TYPES[chosen], headers)
    _artifact(record, report_page.PAGE_FILE)
    assert record.manifest is not None
    headers |= report_page.headers(record.manifest)
    return await _send(
        context, record, report_page.PAGE_FILE, report_page.MEDIA_TYPES[chosen], headers
    )


async def _send(
    context: Context, record: Record, name: str, media_type: str, headers: dict[str, str]
) -> Response:
    about = _artifact(record, name)
    assert record.manifest is not None
    chunks = await context.store.stream(record.manifest["prefix"] + name)
    length = {"Content-Length": str(about["bytes"])}
    return StreamingResponse(chunks, media_type=media_type, headers={**headers, **length})


def _artifact(record: Record, name: str) -> dict[str, Any]:
    if record.status == "succeeded" and record.manifest:
        about: dict[str, Any] | None = record.manifest["files"].get(name)
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


def _left(manifest: dict[str, Any]) -> str:
    return ", ".join(sorted(manifest["files"]))
