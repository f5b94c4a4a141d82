"""Reads a head from a safetensors file; writes such files: a head extended, or any tensors."""

import json
import re
from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from headgraft.models.errors import InjectionError
from headgraft.models.heads import labels
from headgraft.models.heads.extend import cast_rows
from headgraft.models.heads.head import Head, Metric

DTYPES = {
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F32": torch.float32,
    "F64": torch.float64,
}
OTHER_DTYPES = {
    "BOOL": torch.bool,
    "U8": torch.uint8,
    "U16": torch.uint16,
    "U32": torch.uint32,
    "U64": torch.uint64,
    "I8": torch.int8,
    "I16": torch.int16,
    "I32": torch.int32,
    "I64": torch.int64,
    "C64": torch.complex64,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "F8_E8M0": torch.float8_e8m0fnu,
    "F8_E4M3FNUZ": torch.float8_e4m3fnuz,
    "F8_E5M2FNUZ": torch.float8_e5m2fnuz,
}
NAMES = {dtype: name for name, dtype in {**DTYPES, **OTHER_DTYPES}.items()}
METADATA = "__metadata__"
CHUNK_BYTES = 1 << 20
LENGTH_BYTES = 8
BYTES_MAX = 1 << 62

Entry = dict[str, Any]


def read_head(
    path: Path,
    *,
    weight: str,
    bias: str | None,
    class_names: Sequence[str],
    metric: Metric = "linear",
    scale: float = 1.0,
) -> Head:
    """Read weight (C, D) and bias (C,) in their stored dtype; `class_names` are the C rows'.

    Raises InjectionError for a file, a tensor name or a dtype that does not fit, naming what does.
    """
    try:
        with safe_open(path, framework="pt") as file:
            tensors = set(file.keys())
            read = [
                _tensor(file, name, field, tensors)
                for name, field in ((weight, "weight"), (bias, "bias"))
                if name is not None
            ]
    except SafetensorError as error:
        raise InjectionError(
            f"the checkpoint is not a readable safetensors file: {error}",
            code="invalid_checkpoint",
            pointer="/checkpoint",
        ) from error
    bias_C = read[1] if bias is not None else None
    return Head(read[0], bias_C, tuple(class_names), metric, scale)


def write_extended(
    source: Path,
    target: Path,
    *,
    weight: str,
    bias: str | None,
    unseen: Head,
    class_names: Sequence[str],
    replaced: Head | None = None,
) -> None:
    """Copy a checkpoint with its head grown by the unseen rows; `class_names` are all C + U.

    Names, dtypes, other tensors and the first C rows keep their bytes, but for rows that are
    `replaced`; metadata is kept and gets what `class_labels` tells. Needs no more memory than the
    new rows. Raises InjectionError naming the class whose row overflows the dtype.
    """
    with source.open("rb") as reader:
        entries, metadata, data_start = _read_header(reader)
        added = _head_bytes(unseen, weight, bias, entries)
        instead = {} if replaced is None else _head_bytes(replaced, weight, bias, entries)
        count = entries[weight]["shape"][0] + unseen.class_count
        assert len(class_names) == count, f"{len(class_names)} names for {count} rows"
        # Wider types first: a head that grows by an odd count must not misalign what follows it.
        order = sorted(entries, key=lambda name: (-_bits(entries[name]), _start(entries[name])))
        header = _extended_header(entries, order, added, unseen.class_count)
        told = labels.metadata(class_names, entries[weight]["shape"][0])
        kept = {key: text for key, text in metadata.items() if key not in labels.LABELS}
        header[METADATA] = {**kept, **told}
        with target.open("wb") as writer:
            write_header(writer, header)
            for name in order:
                start, end = entries[name]["data_offsets"]
                reader.seek(data_start + start)
                if name in instead:
                    writer.write(instead[name])
                else:
                    _copy(reader, writer, end - start)
                writer.write(added.get(name, b""))


def write_tensors(
    target: Path,
    tensors: Mapping[str, Tensor],
    metadata: Mapping[str, str] = MappingProxyType({}),
    *,
    bytes_max: int = BYTES_MAX,
) -> None:
    """Write dense CPU tensors to a safetensors file, each whole even where two share memory.

    The same tensors and metadata give the same bytes. Needs the memory of one tensor more.
    InjectionError for a dtype that such a file cannot hold, and, before a byte is written, for
    tensors of more than `bytes_max` together.
    """
    entries = {name: _entry(name, tensor) for name, tensor in tensors.items()}
    size = sum(entry["data_offsets"][1] for entry in entries.values())
    if size > bytes_max:
        raise _unfit(f"its tensors take {size} bytes when written out; {bytes_max} is the limit")
    order = sorted(entries, key=lambda name: -_bits(entries[name]))
    with target.open("wb") as writer:
        told = {METADATA: dict(metadata)} if metadata else {}
        write_header(writer, {**told, **_extended_header(entries, order, {}, 0)})
        for name in order:
            # Never a view: it may be strided, expanded from one number, or a lazy conjugate.
            dense = tensors[name].detach().resolve_neg().resolve_conj()
            dense = dense.clone(memory_format=torch.contiguous_format).flatten()
            writer.write(dense.view(torch.uint8).numpy().data)


def _entry(name: str, tensor: Tensor) -> Entry:
    dtype = NAMES.get(tensor.dtype)
    if dtype is None or name == METADATA:
        shown = f"of dtype {tensor.dtype}" if dtype is None else "with a reserved name"
        legal = ", ".join(NAMES.values())
        raise _unfit(f"tensor {name!r:.80} is one {shown}; legal dtypes are {legal}")
    size = tensor.numel() * tensor.element_size()
    return {"dtype": dtype, "shape": list(tensor.shape), "data_offsets": [0, size]}


def _unfit(message: str) -> InjectionError:
    text = f"the checkpoint cannot become a safetensors file: {message}"
    return InjectionError(text, code="invalid_checkpoint", pointer="/checkpoint")


def _tensor(file: Any, name: str, field: str, tensors: set[str]) -> Tensor:
    pointer = f"/head/{field}"
    if name not in tensors:
        raise InjectionError(
            f"the checkpoint has no tensor {name!r}; it has: {', '.join(sorted(tensors)):.2000}",
            code="invalid_head",
            pointer=pointer,
        )
    dtype = file.get_slice(name).get_dtype()
    if dtype not in DTYPES:
        raise InjectionError(
            f"tensor {name!r} has dtype {dtype}; a head has one of {', '.join(DTYPES)}",
            code="invalid_head",
            pointer=pointer,
        )
    tensor: Tensor = file.get_tensor(name)
    return tensor


def _read_header(reader: BinaryIO) -> tuple[dict[str, Entry], dict[str, str], int]:
    length = int.from_bytes(reader.read(LENGTH_BYTES), "little")
    entries = json.loads(reader.read(length))
    return entries, entries.pop(METADATA, {}), LENGTH_BYTES + length


def _head_bytes(
    head: Head, weight: str, bias: str | None, entries: Mapping[str, Entry]
) -> dict[str, bytes]:
    rows = {weight: _row_bytes(head.weight, entries[weight], head.class_names)}
    if bias is not None and head.bias is not None:
        rows[bias] = _row_bytes(head.bias, entries[bias], head.class_names)
    return rows


def _row_bytes(rows: Tensor, entry: Entry, class_names: tuple[str, ...]) -> bytes:
    like = torch.empty(0, dtype=DTYPES[entry["dtype"]])
    # A single row's bias is a strided view that calls itself contiguous: copy it to be sure.
    dense = torch.empty(rows.shape, dtype=like.dtype).copy_(cast_rows(rows, like, class_names))
    return dense.view(torch.uint8).numpy().tobytes()


def _extended_header(
    entries: Mapping[str, Entry], order: Sequence[str], added: Mapping[str, bytes], count: int
) -> dict[str, Any]:
    header: dict[str, Any] = {}
    position = 0
    for name in order:
        shape, (start, end) = list(entries[name]["shape"]), entries[name]["data_offsets"]
        if name in added:
            shape[0] += count
        size = end - start + len(added.get(name, b""))
        assert not prod(shape) or size * 8 == prod(shape) * _bits(entries[name]), name
        header[name] = {
            "dtype": entries[name]["dtype"],
            "shape": shape,
            "data_offsets": [position, position + size],
        }
        position += size
    return header


def write_header(writer: BinaryIO, header: Mapping[str, Any]) -> None:
    """Write a safetensors header: its length, its JSON, and spaces up to a multiple of 8 bytes."""
    raw = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    raw += b" " * (-len(raw) % 8)
    writer.write(len(raw).to_bytes(LENGTH_BYTES, "little") + raw)


def _copy(reader: BinaryIO, writer: BinaryIO, size: int) -> None:
    while size > 0:
        chunk = reader.read(min(size, CHUNK_BYTES))
        if not chunk:
            raise InjectionError("the checkpoint ends too early", code="invalid_checkpoint")
        writer.write(chunk)
        size -= len(chunk)


def _bits(entry: Entry) -> int:
    width = re.search(r"\d+", entry["dtype"])
    return int(width[0]) if width else 8


def _start(entry: Entry) -> int:
    start: int = entry["data_offsets"][0]
    return start
