"""Which file of a finished injection a download of its head means.

A method that makes rows leaves the extended checkpoint and the head alone in formats of other
tools; one whose head is of its own kind leaves files of its own. It knows nothing of how files are
sent.
"""

from collections.abc import Collection

from service.head_files import FILES, FORMATS, Format
from service.problems import ProblemError
from workers.jobs import Record

MEDIA_TYPES: dict[Format, str] = {
    **dict.fromkeys(FORMATS, "application/octet-stream"),
    "labels": "application/json",
}
ONNX_LIMIT = "an ONNX file holds 2 GiB at most"


def head_file(record: Record, asked: Format) -> str:
    """Return the name of the file; a 409 problem where this head has no such format.

    Of an injection that has not succeeded, whatever was asked for: there is nothing yet.
    """
    files = record.manifest["files"] if record.manifest else {}
    if record.status == "succeeded" and FILES[asked] not in files:
        raise _missing(record, asked, files)
    return FILES[asked]


def saved_as(record: Record, asked: Format) -> str:
    """Return the name that a browser saves the file under."""
    return f"{record.id}{'.' if asked != 'labels' else '.labels.'}{FILES[asked].rsplit('.')[-1]}"


def _missing(record: Record, asked: Format, files: Collection[str]) -> ProblemError:
    there = [name for name in FORMATS if FILES[name] in files]
    legal = " or ".join(f"?format={name}" for name in there)
    method = record.summary["method"]
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
