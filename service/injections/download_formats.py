"""Chooses the file of a finished injection that a download of its head or report means.

A method that makes rows leaves the extended checkpoint and the head alone in formats of other
tools; one whose head is of its own kind leaves files of its own.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Literal

from headgraft.service.schemas.formats import FILES, FORMATS, Format
from headgraft.service.web.problems import ProblemError
from headgraft.workers.jobs.manifest import ReportPage
from headgraft.workers.jobs.spec import Record

MEDIA_TYPES: dict[Format, str] = {
    **dict.fromkeys(FORMATS, "application/octet-stream"),
    "labels": "application/json",
}
ONNX_LIMIT = "an ONNX file holds 2 GiB at most"
ReportFormat = Literal["json", "html"]
PAGE_FILE = "report.html"
REPORT_MEDIA_TYPES: dict[ReportFormat, str] = {
    "json": "application/json",
    "html": "text/html; charset=utf-8",
}
# From the most telling range to the least.
RANGES: dict[ReportFormat, tuple[str, ...]] = {
    "json": ("application/json", "application/*", "*/*"),
    "html": ("text/html", "text/*", "*/*"),
}


def head_file(record: Record, asked: Format) -> str:
    """Return the name of the file; a 409 problem where this head has no such format.

    Of an injection that has not succeeded, whatever was asked for: there is nothing yet.
    """
    files = record.manifest.files if record.manifest else {}
    if record.status == "succeeded" and FILES[asked] not in files:
        raise _missing(record, asked, files)
    return FILES[asked]


def saved_as(record: Record, asked: Format) -> str:
    """Return the name that a browser saves the file under."""
    return f"{record.id}{'.' if asked != 'labels' else '.labels.'}{FILES[asked].rsplit('.')[-1]}"


def _missing(record: Record, asked: Format, files: Collection[str]) -> ProblemError:
    there = [name for name in FORMATS if FILES[name] in files]
    legal = " or ".join(f"?format={name}" for name in there)
    method = record.summary.method
    if "native" in there:
        detail = (
            f"method {method!r} makes a head of its own kind, not rows of a checkpoint: ask for "
            f"{legal}"
        )
        return ProblemError(409, "head_not_linear", detail)
    if asked == "native":
        detail = f"method {method!r} made rows of a checkpoint: ask for {legal}"
        return ProblemError(409, "head_is_linear", detail)
    detail = f"injection {record.id} left no {FILES[asked]}: ask for {legal}"
    limit = f" ({ONNX_LIMIT})" if asked == "onnx" else ""
    return ProblemError(409, "format_not_written", detail + limit)


def report_format(asked: ReportFormat | None, accept: Sequence[str]) -> ReportFormat:
    """Return what was asked for, else what the Accept headers prefer; JSON where it is a tie."""
    if asked:
        return asked
    qualities = _qualities(",".join(accept))
    return "html" if _quality("html", qualities) > _quality("json", qualities) else "json"


def page_headers(page: ReportPage) -> dict[str, str]:
    """Return the headers that let a page use its own style and nothing else."""
    policy = (
        "default-src 'none'",
        f"style-src '{page.style_source}'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "sandbox",
    )
    return {
        "Content-Security-Policy": "; ".join(policy),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
    }


def _qualities(accept: str) -> dict[str, float]:
    """Read media ranges with their q; parameters other than q do not tell our formats apart."""
    found: dict[str, float] = {}
    for entry in accept.split(","):
        media, *parameters = (part.strip().lower() for part in entry.split(";"))
        quality = _read_q(parameters)
        found[media] = max(quality, found.get(media, 0.0))
    return found


def _read_q(parameters: Sequence[str]) -> float:
    given = [value for name, _, value in (one.partition("=") for one in parameters) if name == "q"]
    try:
        quality = float(given[0]) if given else 1.0
    except ValueError:
        return 0.0
    return quality if 0 <= quality <= 1 else 0.0


def _quality(kind: ReportFormat, qualities: Mapping[str, float]) -> float:
    return next((qualities[media] for media in RANGES[kind] if media in qualities), 0.0)
