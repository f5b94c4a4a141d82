"""Reads the header of a safetensors file."""

from collections.abc import Sequence
from itertools import pairwise
from math import prod
from typing import BinaryIO

import jiter

from headgraft.workers.formats.header import Header, HeaderError, TensorEntry, short

HEADER_BYTES_MAX = 8 * 1024 * 1024
LENGTH_BYTES = 8

DTYPE_BITS = {
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2", "F8_E8M0"), 8),
    **dict.fromkeys(("F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
    **dict.fromkeys(("F4",), 4),
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    **dict.fromkeys(("U16", "I16", "F16", "BF16"), 16),
    **dict.fromkeys(("U32", "I32", "F32"), 32),
    **dict.fromkeys(("U64", "I64", "F64", "C64"), 64),
}
SIZE_LIMIT = 2**62
# What torch allows; the product of a header full of large sizes would take minutes to compute.
DIMENSIONS_MAX = 64


def header_length(first_bytes: bytes) -> int:
    """Return the header's length in bytes from the file's first eight; HeaderError beyond 8 MiB."""
    length = int.from_bytes(first_bytes[:LENGTH_BYTES], "little")
    if len(first_bytes) < LENGTH_BYTES or not 2 <= length <= HEADER_BYTES_MAX:
        raise HeaderError(
            f"the checkpoint claims a header of {length} bytes; a safetensors header has "
            f"2 to {HEADER_BYTES_MAX}. Legal are safetensors files, and torch files (.pt, .pth) "
            "as torch.save writes them"
        )
    return length


def read_header(file: BinaryIO) -> tuple[Header, int]:
    """Read and check a file's header; return it and the offset at which the tensors' bytes begin.

    HeaderError where it is not one: also files of our own may have been written by a process that
    read an untrusted upload.
    """
    length = header_length(file.read(LENGTH_BYTES))
    return parse_header(file.read(length)), LENGTH_BYTES + length


def parse_header(raw: bytes) -> Header:
    """Check a header's JSON and ranges; HeaderError names the tensor and the defect."""
    document = _parse_json(raw)
    metadata = document.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise HeaderError("__metadata__ in the checkpoint's header must map text to text")
    entries = sorted(
        (_entry(name, fields) for name, fields in document.items()),
        key=lambda entry: (entry.start, entry.end),
    )
    _check_tiling(entries)
    data_bytes = entries[-1].end if entries else 0
    return Header({entry.name: entry for entry in entries}, metadata, data_bytes)


def _parse_json(raw: bytes) -> dict[str, object]:
    try:
        document = jiter.from_json(raw, catch_duplicate_keys=True, allow_inf_nan=False)
    except ValueError as error:
        raise HeaderError(f"the checkpoint's header is not valid JSON: {error}") from None
    if not isinstance(document, dict):
        raise HeaderError("the checkpoint's header must be a JSON object")
    return document


def _entry(name: str, fields: object) -> TensorEntry:
    if not isinstance(fields, dict) or set(fields) != {"dtype", "shape", "data_offsets"}:
        raise HeaderError(f"tensor {short(name)} needs exactly dtype, shape and data_offsets")
    dtype = fields["dtype"]
    if not isinstance(dtype, str) or dtype not in DTYPE_BITS:
        raise HeaderError(
            f"tensor {short(name)} has the unknown dtype {short(dtype)}; "
            f"legal are {', '.join(DTYPE_BITS)}"
        )
    shape = _sizes(name, "shape", fields["shape"])
    offsets = _sizes(name, "data_offsets", fields["data_offsets"])
    if len(shape) > DIMENSIONS_MAX:
        raise HeaderError(
            f"tensor {short(name)} has {len(shape)} dimensions; there may be {DIMENSIONS_MAX}"
        )
    if len(offsets) != 2 or offsets[0] > offsets[1]:
        raise HeaderError(f"tensor {short(name)}: data_offsets must be [start, end]")
    needed_bits = prod(shape) * DTYPE_BITS[dtype]
    if needed_bits != (offsets[1] - offsets[0]) * 8:
        raise HeaderError(
            f"tensor {short(name)}: {dtype} of shape {short(list(shape))} does not fill the "
            f"{offsets[1] - offsets[0]} bytes of its data_offsets"
        )
    return TensorEntry(name, dtype, shape, offsets[0], offsets[1])


def _sizes(name: str, field: str, value: object) -> tuple[int, ...]:
    whole = isinstance(value, list) and all(type(item) is int for item in value)
    if not whole or not all(0 <= item < SIZE_LIMIT for item in value):  # type: ignore[attr-defined]  # checked above
        raise HeaderError(
            f"tensor {short(name)}: {field} must be a list of whole numbers from 0 to 2^62"
        )
    return tuple(value)  # type: ignore[arg-type]  # a list, checked above


def _check_tiling(entries: Sequence[TensorEntry]) -> None:
    if entries and entries[0].start != 0:
        raise HeaderError(f"the bytes before tensor {short(entries[0].name)} belong to no tensor")
    for left, right in pairwise(entries):
        if right.start != left.end:
            defect = "overlaps" if right.start < left.end else "leaves a gap after"
            raise HeaderError(f"tensor {short(right.name)} {defect} {short(left.name)}")
