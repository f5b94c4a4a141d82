"""Refuses, before anything is uploaded, a file that is no checkpoint."""

from pathlib import Path

from headgraft.service.cli.parsing import TypedError
from headgraft.workers.formats.foreign import START_BYTES, foreign_kind


def check_kind(path: Path) -> None:
    """Return where a file may be a checkpoint; TypedError says what it is instead."""
    with path.open("rb") as file:
        start = file.read(START_BYTES)
    if not start:
        raise TypedError(f"{path} is empty")
    kind = foreign_kind(start)
    if kind:
        raise TypedError(f"{path} is {kind}")
