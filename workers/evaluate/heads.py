"""Reads whatever head a safetensors file holds, as something that scores features."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from headgraft.models.errors import InjectionError
from headgraft.models.heads import attribute, checkpoint, semantic
from headgraft.models.heads.head import Metric
from headgraft.models.heads.protocol import NativeHead
from headgraft.models.metrics import Scorer
from headgraft.workers.formats.find_head import HeadTensors, find_head
from headgraft.workers.formats.header import Header
from headgraft.workers.formats.safetensors import read_header


@dataclass(frozen=True)
class RowOptions:
    """How to read a head of rows; tensor names that are None are looked for."""

    weight: str | None = None
    bias: str | None = None
    metric: Metric = "linear"
    scale: float = 1.0


AS_STORED = RowOptions()
NOTHING_GROWS = ("*",)


@dataclass(frozen=True, eq=False)
class LoadedHead:
    """A head, its classes in the order of its scores, and the tensors of its rows.

    Of a head without rows: what it reads its features by.
    """

    scorer: Scorer
    class_names: tuple[str, ...]
    tensors: HeadTensors
    takes_regions: bool = False


def read_metadata(path: Path) -> dict[str, str]:
    """Return what a safetensors file says beside its tensors; InjectionError for another file."""
    try:
        with safe_open(path, framework="pt") as file:
            return file.metadata() or {}
    except SafetensorError as error:
        raise InjectionError(f"{path} is not a readable safetensors file: {error}") from error


def read_rows(path: Path, class_names: Sequence[str], options: RowOptions) -> LoadedHead:
    """Read a head of one row per name; InjectionError or HeaderError for what does not fit."""
    tensors = find_head(
        _header(path),
        class_count=len(class_names),
        weight=options.weight,
        bias=options.bias,
        allow_ungrown=NOTHING_GROWS,
    )
    head = checkpoint.read_head(
        path,
        layers=tensors.all_layers,
        class_names=class_names,
        metric=options.metric,
        scale=options.scale,
    )
    return LoadedHead(head, head.class_names, tensors)


def is_native(metadata: dict[str, str]) -> bool:
    """Tell whether a file is one of `?format=native`, whose metadata describes its head."""
    return metadata.get("kind") in READERS


def read_native(path: Path, metadata: dict[str, str]) -> LoadedHead:
    """Read a head of its own kind; InjectionError where the file is incomplete."""
    kind = metadata["kind"]
    make, part, weight = READERS[kind]
    try:
        tensors = load_file(path)
        head = make(tensors, metadata)
    except InjectionError:
        raise
    except (KeyError, ValueError) as error:
        raise InjectionError(f"{path} is no complete head of kind {kind!r}: {error!r}") from error
    shape = tuple(tensors[part].shape)
    if len(shape) != 2 or shape[0] != len(head.class_names):
        raise InjectionError(
            f"{path}: {part} has shape {shape}; there are {len(head.class_names)} classes"
        )
    rows = find_head(
        _header(path),
        class_count=len(tensors[weight]),
        weight=weight,
        allow_ungrown=NOTHING_GROWS,
    )
    return LoadedHead(head, head.class_names, rows, takes_regions=kind == attribute.KIND)


# How a head is made again, which of its tensors has one row per class, and which reads features.
Make = Callable[[Mapping[str, Tensor], Mapping[str, str]], NativeHead]
READERS: dict[str, tuple[Make, str, str]] = {
    semantic.KIND: (semantic.from_state_dict, "class_embeddings", "weight"),
    attribute.KIND: (attribute.from_state_dict, "class_attributes", "region_scores"),
}


def _header(path: Path) -> Header:
    with path.open("rb") as file:
        return read_header(file)[0]
