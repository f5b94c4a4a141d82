"""Reads a head from a safetensors file; writes such files: a head extended, or any tensors."""

import json
import re
from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from headgraft.models.errors import InjectionError
from headgraft.models.heads import labels
from headgraft.models.heads.extend import cast_rows
from headgraft.models.heads.head import Head, Metric
from headgraft.models.heads.layers import computed, join_layers, spread
from headgraft.models.heads.stored import StoredLayer, axis_of

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
Bytes = np.ndarray[Any, np.dtype[np.uint8]]


def read_head(
    path: Path,
    *,
    layers: Sequence[StoredLayer],
    class_names: Sequence[str],
    metric: Metric = "linear",
    scale: float = 1.0,
) -> Head:
    """Read a head of one layer, or of several whose answers are averaged, in its stored dtype.

    `class_names` are the C rows'. Raises InjectionError for a file, a tensor name or a dtype that
    does not fit, naming what does, and for a head that holds nothing but zeros.
    """
    try:
        with safe_open(path, framework="pt") as file:
            own = [layer for layer in layers if not layer.is_copy]
            tensors = set(file.keys())
            read = [
                computed(layer, lambda name, field: _tensor(file, name, field, tensors))
                for layer in own
            ]
            metadata = file.metadata() or {}
    except SafetensorError as error:
        raise InjectionError(
            f"the checkpoint is not a readable safetensors file: {error}",
            code="invalid_checkpoint",
            pointer="/checkpoint",
        ) from error
    if not any(weight.any() for weight, _ in read):
        raise InjectionError(
            f"every number of {own[0].weight!r} is 0: it was never trained, and says nothing of "
            "its classes",
            code="invalid_head",
            pointer="/head/weight",
        )
    weight_CD, bias_C = join_layers(read)
    injected = labels.injected_rows(metadata, len(class_names))
    return Head(weight_CD, bias_C, tuple(class_names), metric, scale, injected)


def write_extended(
    source: Path,
    target: Path,
    *,
    layers: Sequence[StoredLayer],
    unseen: Head,
    class_names: Sequence[str],
    replaced: Head | None = None,
) -> None:
    """Copy a checkpoint with its head grown by the unseen rows; `class_names` are all C + U.

    Names, dtypes, other tensors and the first C rows keep their bytes, but for rows that are
    `replaced`; metadata is kept and gets what `class_labels` tells. Needs no more memory than the
    head. Raises InjectionError naming the class whose row overflows the dtype.
    """
    with source.open("rb") as reader:
        entries, metadata, data_start = _read_header(reader)
        added = _stored_rows(unseen, layers, entries)
        instead = {} if replaced is None else _stored_rows(replaced, layers, entries)
        count = len(class_names) - unseen.class_count
        # Wider types first: a head that grows by an odd count must not misalign what follows it.
        order = sorted(entries, key=lambda name: (-_bits(entries[name]), _start(entries[name])))
        axes = {name: axis_of(name, layers) for name in added}
        header = _extended_header(entries, order, axes, unseen.class_count)
        before = labels.injected_rows(metadata, count)
        told = labels.metadata(class_names, count, before)
        kept = {key: text for key, text in metadata.items() if key not in labels.LABELS}
        header[METADATA] = {**kept, **told}
        with target.open("wb") as writer:
            write_header(writer, header)
            for name in order:
                start, end = entries[name]["data_offsets"]
                reader.seek(data_start + start)
                if name not in added:
                    _copy(reader, writer, end - start)
                    continue
                old = instead.get(name, np.frombuffer(_exactly(reader, end - start), np.uint8))
                blocks = prod(entries[name]["shape"][: axes[name]])
                both = [part.reshape(blocks, -1) for part in (old, added[name])]
                writer.write(np.concatenate(both, axis=1).data)


def stored_rows(raw: bytes, shape: Sequence[int], axis: int, count: int) -> bytes:
    """Return the bytes of a tensor's first `count` entries along an axis, in the file's order."""
    blocks = np.frombuffer(raw, np.uint8).reshape(prod(shape[:axis]), -1)
    return blocks[:, : blocks.shape[1] // shape[axis] * count].tobytes()


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


def _stored_rows(
    head: Head, layers: Sequence[StoredLayer], entries: Mapping[str, Entry]
) -> dict[str, Bytes]:
    """Return the bytes that rows become in each tensor of the layers, in the file's order."""
    stored = {}
    for name, rows in spread(head, layers).items():
        dtype = DTYPES[entries[name]["dtype"]]
        cast = cast_rows(rows, torch.empty(0, dtype=dtype), head.class_names)
        ordered = cast.T if axis_of(name, layers) else cast
        # A single row's bias is a strided view that calls itself contiguous: copy it to be sure.
        dense = torch.empty(ordered.shape, dtype=dtype).copy_(ordered)
        stored[name] = dense.flatten().view(torch.uint8).numpy()
    return stored


def _extended_header(
    entries: Mapping[str, Entry], order: Sequence[str], axes: Mapping[str, int], count: int
) -> dict[str, Any]:
    """Describe the tensors one behind the other, those of `axes` with `count` more entries."""
    header: dict[str, Any] = {}
    position = 0
    for name in order:
        shape = list(entries[name]["shape"])
        if name in axes:
            shape[axes[name]] += count
        size = prod(shape) * _bits(entries[name]) // 8
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
            raise _too_short()
        writer.write(chunk)
        size -= len(chunk)


def _exactly(reader: BinaryIO, size: int) -> bytes:
    raw = reader.read(size)
    if len(raw) < size:
        raise _too_short()
    return raw


def _too_short() -> InjectionError:
    return InjectionError("the checkpoint ends too early", code="invalid_checkpoint")


def _bits(entry: Entry) -> int:
    width = re.search(r"\d+", entry["dtype"])
    return int(width[0]) if width else 8


def _start(entry: Entry) -> int:
    start: int = entry["data_offsets"][0]
    return start
