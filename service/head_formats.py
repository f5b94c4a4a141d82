"""Which file of a finished injection a download of its head means.

A method that makes rows leaves the extended checkpoint; one whose head is of its own kind leaves
that head in two formats. It knows nothing of how files are sent.
"""

from typing import Literal, get_args

from service.problems import ProblemError
from workers.jobs import Record

Format = Literal["native", "onnx"]
EXTENDED_FILE = "head.safetensors"
FILES: dict[Format, str] = {"native": "head.native.safetensors", "onnx": "head.onnx"}
SUFFIXES = {EXTENDED_FILE: "safetensors", FILES["native"]: "safetensors", FILES["onnx"]: "onnx"}


def head_file(record: Record, asked: Format | None) -> str:
    """Return the name of the file; a 409 problem where this head has no such format.

    Of an injection that has not succeeded, whatever was asked for: there is nothing yet.
    """
    wanted = FILES[asked] if asked else EXTENDED_FILE
    files = record.manifest["files"] if record.manifest else {}
    if record.status != "succeeded" or wanted in files:
        return wanted
    if FILES["native"] in files:
        method = record.summary["method"]
        legal = " or ".join(f"?format={name}" for name in get_args(Format))
        raise ProblemError(
            409,
            "head_not_linear",
            f"method {method!r} makes a head of its own kind, not rows of a checkpoint: "
            f"ask for {legal}",
        )
    raise ProblemError(
        409,
        "head_is_linear",
        f"injection {record.id} made rows, and its head is the extended checkpoint: there is no "
        f"?format={asked}, ask without a format",
    )
