"""Reads the header of a safetensors file and finds the classifier head in it.

It knows nothing of torch, of requests, or of where the bytes come from.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import Literal, get_args

import jiter
from pydantic import BaseModel, ConfigDict

HEADER_BYTES_MAX = 8 * 1024 * 1024
LENGTH_BYTES = 8

HeadDtype = Literal["F16", "BF16", "F32", "F64"]
HEAD_DTYPES: tuple[HeadDtype, ...] = get_args(HeadDtype)
DTYPE_BITS = {
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2", "F8_E8M0"), 8),
    **dict.fromkeys(("F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
    **dict.fromkeys(("F4",), 4),
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    **dict.fromkeys(("U16", "I16", "F16", "BF16"), 16),
    **dict.fromkeys(("U32", "I32", "F32"), 32),
    **dict.fromkeys(("U64", "I64", "F64", "C64"), 64),
}
HEAD_MODULES = ("fc", "_fc", "head", "heads.head", "head.fc", "classifier", "linear", "last_linear")
SIZE_LIMIT = 2**62
# What torch allows; the product of a header full of large sizes would take minutes to compute.
DIMENSIONS_MAX = 64


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


class HeadTensors(BaseModel):
    """Where a checkpoint keeps its head: weight (C, D), bias (C,) or None."""

    model_config = ConfigDict(frozen=True)

    weight: str
    bias: str | None
    class_count: int
    feature_size: int
    dtype: HeadDtype


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
        raise HeaderError(f"tensor {_short(name)} needs exactly dtype, shape and data_offsets")
    dtype = fields["dtype"]
    if not isinstance(dtype, str) or dtype not in DTYPE_BITS:
        raise HeaderError(
            f"tensor {_short(name)} has the unknown dtype {_short(dtype)}; "
            f"legal are {', '.join(DTYPE_BITS)}"
        )
    shape = _sizes(name, "shape", fields["shape"])
    offsets = _sizes(name, "data_offsets", fields["data_offsets"])
    if len(shape) > DIMENSIONS_MAX:
        raise HeaderError(
            f"tensor {_short(name)} has {len(shape)} dimensions; there may be {DIMENSIONS_MAX}"
        )
    if len(offsets) != 2 or offsets[0] > offsets[1]:
        raise HeaderError(f"tensor {_short(name)}: data_offsets must be [start, end]")
    needed_bits = prod(shape) * DTYPE_BITS[dtype]
    if needed_bits != (offsets[1] - offsets[0]) * 8:
        raise HeaderError(
            f"tensor {_short(name)}: {dtype} of shape {_short(list(shape))} does not fill the "
            f"{offsets[1] - offsets[0]} bytes of its data_offsets"
        )
    return TensorEntry(name, dtype, shape, offsets[0], offsets[1])


def _sizes(name: str, field: str, value: object) -> tuple[int, ...]:
    whole = isinstance(value, list) and all(type(item) is int for item in value)
    if not whole or not all(0 <= item < SIZE_LIMIT for item in value):  # type: ignore[attr-defined]  # checked above
        raise HeaderError(
            f"tensor {_short(name)}: {field} must be a list of whole numbers from 0 to 2^62"
        )
    return tuple(value)  # type: ignore[arg-type]  # a list, checked above


def _check_tiling(entries: Sequence[TensorEntry]) -> None:
    if entries and entries[0].start != 0:
        raise HeaderError(f"the bytes before tensor {_short(entries[0].name)} belong to no tensor")
    for left, right in pairwise(entries):
        if right.start != left.end:
            defect = "overlaps" if right.start < left.end else "leaves a gap after"
            raise HeaderError(f"tensor {_short(right.name)} {defect} {_short(left.name)}")


def find_head(
    header: Header, *, class_count: int, weight: str | None = None, bias: str | None = None
) -> HeadTensors:
    """Find the head's tensors, by the names given or by shape and habit; never guess between two.

    The weight is the one 2-D tensor with `class_count` rows; among several, the one under a
    customary module name (`HEAD_MODULES`, `classifier.N`). HeaderError lists the candidates.
    """
    entry = _entry_named(header, weight) if weight else _detect_weight(header, class_count)
    _check_weight(entry, class_count)
    bias_entry = _entry_named(header, bias) if bias else _sibling_bias(header, entry)
    if bias_entry and (bias_entry.shape != (class_count,) or bias_entry.dtype != entry.dtype):
        raise HeaderError(
            f"bias {_short(bias_entry.name)} is {bias_entry.dtype} of shape "
            f"{list(bias_entry.shape)}; beside {_short(entry.name)} it must be {entry.dtype} "
            f"of shape [{class_count}]"
        )
    return HeadTensors.model_validate(
        {
            "weight": entry.name,
            "bias": bias_entry.name if bias_entry else None,
            "class_count": class_count,
            "feature_size": entry.shape[1],
            "dtype": entry.dtype,
        }
    )


def _entry_named(header: Header, name: str) -> TensorEntry:
    if name not in header.tensors:
        raise HeaderError(
            f"the checkpoint has no tensor {_short(name)}; it has {_some(header.tensors)}"
        )
    return header.tensors[name]


def _detect_weight(header: Header, class_count: int) -> TensorEntry:
    matrices = [entry for entry in header.tensors.values() if len(entry.shape) == 2]
    fits = [entry for entry in matrices if entry.shape[0] == class_count]
    if not fits:
        seen = _some(f"{entry.name} {list(entry.shape)}" for entry in matrices)
        raise HeaderError(
            f"no 2-D tensor of the checkpoint has {class_count} rows, one per class name; "
            f"its 2-D tensors are {seen}"
        )
    customary = [entry for entry in fits if _is_customary(entry.name)]
    choice = customary if len(fits) > 1 and customary else fits
    if len(choice) > 1:
        raise HeaderError(
            f"{len(choice)} tensors could be the head: {_some(e.name for e in choice)}; "
            "name one as head.weight"
        )
    return choice[0]


def _is_customary(name: str) -> bool:
    module = name.removesuffix(".weight")
    parts = module.split(".")
    numbered = len(parts) > 1 and parts[-1].isdigit() and parts[-2] == "classifier"
    return numbered or any(
        module == habit or module.endswith(f".{habit}") for habit in HEAD_MODULES
    )


def _check_weight(entry: TensorEntry, class_count: int) -> None:
    if entry.dtype not in HEAD_DTYPES:
        raise HeaderError(
            f"head weight {_short(entry.name)} is {entry.dtype}; legal are {', '.join(HEAD_DTYPES)}"
        )
    if len(entry.shape) != 2 or entry.shape[0] != class_count or entry.shape[1] == 0:
        raise HeaderError(
            f"head weight {_short(entry.name)} has shape {list(entry.shape)}, "
            f"but there are {class_count} class names: it needs one row per class"
        )


def _sibling_bias(header: Header, weight: TensorEntry) -> TensorEntry | None:
    if not weight.name.endswith("weight"):
        return None
    return header.tensors.get(weight.name.removesuffix("weight") + "bias")


def _short(value: object, limit: int = 80) -> str:
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 3] + "..."


def _some(names: object, limit: int = 8) -> str:
    listed = [str(name) for name in names]  # type: ignore[attr-defined]  # any iterable of names
    shown = ", ".join(_short(name) for name in listed[:limit]) or "none"
    return shown if len(listed) <= limit else f"{shown} and {len(listed) - limit} more"
