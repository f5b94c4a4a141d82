"""Finds the classifier head among the tensors of a checkpoint: all of it, or nothing."""

import re
from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

from headgraft.models.heads.stored import StoredLayer, axis_of
from headgraft.workers.formats import head_names as names
from headgraft.workers.formats.head_names import TensorName
from headgraft.workers.formats.header import Header, HeaderError, TensorEntry, short, some
from headgraft.workers.formats.stored_layers import (
    HeadDtype,
    class_axis,
    entry_named,
    feature_size,
    stored_layer,
)
from headgraft.workers.formats.ungrown import left_behind

BINARY = (
    "has one row: a head of one output tells a class from all else by its sign, and no class can "
    "be put beside it. Make it two rows, zeros and this one, and name both"
)


class HeadTensors(BaseModel):
    """Where a checkpoint keeps its head: weight (C, D), bias (C,) or None.

    `layers` are all linear layers that score classes, the one of `weight` first; the head reads
    their features side by side, `feature_size` in all. None are listed: there is that one alone.
    `ungrown` have one entry per class, too, and stay as they are.
    """

    model_config = ConfigDict(frozen=True)

    weight: str
    bias: str | None
    class_count: int
    feature_size: int
    dtype: HeadDtype
    layers: tuple[StoredLayer, ...] = ()
    ungrown: tuple[str, ...] = ()

    @property
    def all_layers(self) -> tuple[StoredLayer, ...]:
        """The layers, of which there is at least one."""
        return self.layers or (StoredLayer(self.weight, self.bias, self.feature_size),)

    @property
    def grown(self) -> list[str]:
        """The names of all tensors that grow."""
        return [name for layer in self.all_layers for name in layer.tensors]

    def axis(self, name: str) -> int:
        """Return the axis along which one of these tensors grows."""
        return axis_of(name, self.all_layers)


def find_head(
    header: Header,
    *,
    class_count: int,
    weight: str | None = None,
    bias: str | None = None,
    allow_ungrown: Sequence[str] = (),
) -> HeadTensors:
    """Find all tensors of a head, by the names given or by shape and habit; never guess.

    The weight is the one matrix with a row, or a column, per class whose name is one of a
    classifier, or speaks of nothing else. HeaderError lists the candidates where there are two,
    says what there is where there is none, and names what would not grow with the head, unless
    `allow_ungrown` names it (`*` stands for any letters).
    """
    if weight:
        entry = entry_named(header, weight)
        _check_weight(entry, class_count)
    else:
        entry = _detect_weight(header, class_count)
    first = stored_layer(header, entry, class_count, bias)
    found = [entry, *_seconds(header, entry, class_count)]
    layers = [first, *(stored_layer(header, other, class_count, None) for other in found[1:])]
    whole = [
        part
        for layer, original in zip(layers, found, strict=True)
        for part in (layer, *_copies(header, original, class_count, layer))
    ]
    return HeadTensors.model_validate(
        {
            "weight": entry.name,
            "bias": first.bias,
            "class_count": class_count,
            "feature_size": sum(layer.feature_size for layer in layers),
            "dtype": entry.dtype,
            "layers": whole,
            "ungrown": left_behind(header, whole, class_count, allow_ungrown),
        }
    )


def _matrices(header: Header) -> list[TensorEntry]:
    """Return what could be the weight of a layer."""
    return [
        entry
        for entry in header.tensors.values()
        if len(entry.shape) > 1 and TensorName(entry.name).parameter not in names.NO_WEIGHTS
    ]


def _detect_weight(header: Header, class_count: int) -> TensorEntry:
    fits = [
        entry
        for entry in _matrices(header)
        if (axis := class_axis(entry, class_count)) is not None
        and (axis == 0 or TensorName(entry.name).parameter in names.EITHER_WAY)
    ]
    heads = [entry for entry in fits if TensorName(entry.name).place == "head"]
    if not heads:
        _refuse_other_heads(header, class_count)
        unknown = [entry for entry in fits if TensorName(entry.name).place == "unknown"]
        heads = [entry for entry in unknown if len(entry.shape) == 2] or unknown
    if not heads:
        raise HeaderError(_nothing_fits(header, fits, class_count))
    choice = _without_copies(heads)
    choice = [entry for entry in choice if not TensorName(entry.name).is_second] or choice
    if len(choice) > 1:
        choice = _of_one_list(choice, class_count) or choice
    if len(choice) > 1:
        raise HeaderError(
            f"{len(choice)} tensors could be the head: {some(e.name for e in choice)}; "
            "name one as head.weight, and in allow_ungrown those that shall stay as they are"
        )
    return choice[0]


def _without_copies(entries: Sequence[TensorEntry]) -> list[TensorEntry]:
    originals = {TensorName(e.name).bare for e in entries if not TensorName(e.name).is_copy}
    return [
        entry
        for entry in entries
        if not TensorName(entry.name).is_copy or TensorName(entry.name).bare not in originals
    ]


def _of_one_list(entries: Sequence[TensorEntry], class_count: int) -> list[TensorEntry]:
    """Choose among layers of a head that lie side by side: the last of a chain, or the first."""
    if any(TensorName(entry.name).place != "head" for entry in entries):
        return []
    parents = {TensorName(entry.name).module[:-1] for entry in entries}
    if len(parents) > 1:
        return []
    ordered = sorted(entries, key=lambda entry: _natural(entry.name))
    if any(feature_size(entry, class_count) == class_count for entry in ordered):
        return ordered[-1:]
    return ordered[:1] if _numbered(ordered) else []


def _numbered(entries: Sequence[TensorEntry]) -> bool:
    return all(TensorName(entry.name).module[-1:][0].isdigit() for entry in entries)


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part or 0), text) for text, part in re.findall(r"(\D*)(\d*)", name)]


def _refuse_other_heads(header: Header, class_count: int) -> None:
    """Raise HeaderError where a classifier of another number of classes is there."""
    others = [entry for entry in _matrices(header) if TensorName(entry.name).place == "head"]
    binary = [entry for entry in others if 1 in (entry.shape[0], entry.shape[-1])]
    if class_count == 2 and binary:
        raise HeaderError(f"{short(binary[0].name)} {list(binary[0].shape)} {BINARY}")


def _nothing_fits(header: Header, fits: Sequence[TensorEntry], class_count: int) -> str:
    matrices = _matrices(header)
    heads = [
        entry
        for entry in matrices
        if len(entry.shape) == 2 and TensorName(entry.name).place == "head"
    ]
    if fits:
        return (
            f"the checkpoint has no classifier of {class_count} classes: the rows or columns of "
            f"{some(e.name for e in fits)} are as many, but by name it is another kind of layer. "
            "If it is the classifier, name it as head.weight"
        )
    if len(heads) == 1:
        rows = heads[0].shape[0]
        return (
            f"you gave {class_count} class names, {short(heads[0].name)} has {rows} rows: "
            "give one name per row, in order"
        )
    seen = some(f"{e.name} {list(e.shape)}" for e in matrices if len(e.shape) == 2)
    return (
        f"no 2-D tensor of the checkpoint has {class_count} rows, one per class name: it has no "
        f"classifier of so many classes; its 2-D tensors are {seen}"
    )


def _check_weight(entry: TensorEntry, class_count: int) -> None:
    if len(entry.shape) > 1 and entry.shape[0] == 1 and class_count == 2:
        raise HeaderError(f"{short(entry.name)} {list(entry.shape)} {BINARY}")
    if class_axis(entry, class_count) is None:
        raise HeaderError(
            f"head weight {short(entry.name)} has shape {list(entry.shape)}, "
            f"but there are {class_count} class names: it needs one row per class"
        )


def _seconds(header: Header, first: TensorEntry, class_count: int) -> list[TensorEntry]:
    """Find the heads whose answers the network joins with the first one's."""
    own = TensorName(first.name)
    others = [
        entry
        for entry in _matrices(header)
        if entry.name != first.name
        and entry.dtype == first.dtype
        and class_axis(entry, class_count) is not None
        and TensorName(entry.name).parameter == own.parameter
        and TensorName(entry.name).place == "head"
        and not (TensorName(entry.name).is_copy and TensorName(entry.name).bare != own.bare)
    ]
    others = [e for e in _without_copies([first, *others]) if TensorName(e.name).bare != own.bare]
    size = feature_size(first, class_count)
    chained = class_count in {size, *(feature_size(e, class_count) for e in others)}
    return [
        entry
        for entry in others
        if TensorName(entry.name).is_second
        or (
            not chained
            and TensorName(entry.name).module[:-1] == own.module[:-1]
            and _numbered([first, entry])
        )
    ]


def _copies(
    header: Header, original: TensorEntry, class_count: int, layer: StoredLayer
) -> list[StoredLayer]:
    """Find the layer again in averaged copies of the network, and in an untrained one."""
    own = TensorName(original.name)
    return [
        StoredLayer(
            **{
                **vars(stored_layer(header, entry, class_count, None)),
                "feature_size": layer.feature_size,
                "is_copy": True,
            }
        )
        for entry in header.tensors.values()
        if entry.name != original.name
        and (entry.shape, entry.dtype) == (original.shape, original.dtype)
        and TensorName(entry.name).bare == own.bare
        and (TensorName(entry.name).is_copy or own.is_copy)
    ]
