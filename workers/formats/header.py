"""What the header of a checkpoint says of its tensors, whatever the file's format."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

# How torch files begin: a zip file, and before torch 1.6 a pickle of a magic number.
ZIP_START = b"PK\x03\x04"
LEGACY_START = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."


class HeaderError(ValueError):
    """The file is not a safetensors file this product can work with; the text says why."""


@dataclass(frozen=True)
class TensorEntry:
    """One tensor of the file: `start` and `end` are byte offsets behind the header."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


@dataclass(frozen=True)
class Header:
    """A checked header: the tensors' ranges tile the data without gap or overlap."""

    tensors: Mapping[str, TensorEntry]
    metadata: Mapping[str, str]
    data_bytes: int


def short(value: object, limit: int = 80) -> str:
    """Return the value as Python writes it, cut at the limit."""
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 3] + "..."


def some(names: Iterable[object], limit: int = 8) -> str:
    """List the first names, and say how many more there are."""
    listed = [str(name) for name in names]
    shown = ", ".join(short(name) for name in listed[:limit]) or "none"
    return shown if len(listed) <= limit else f"{shown} and {len(listed) - limit} more"
