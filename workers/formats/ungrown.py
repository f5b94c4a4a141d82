"""Finds the tensors with one entry per class that would not grow with a head."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

from headgraft.models.heads.stored import StoredLayer
from headgraft.workers.formats import head_names as names
from headgraft.workers.formats.head_names import TensorName
from headgraft.workers.formats.header import Header, HeaderError, TensorEntry, some


def left_behind(
    header: Header, layers: Sequence[StoredLayer], class_count: int, allowed: Sequence[str]
) -> list[str]:
    """Return the tensors that keep one entry per class and may; HeaderError names the others.

    A tensor belongs to the head by its place in the network or by its name; or else because
    nothing in the network has inputs of so many numbers, so that the size is that of the classes.
    """
    grown = {name for layer in layers for name in layer.tensors}
    is_width = any(
        class_count in entry.shape[1:2] or class_count in entry.shape[-2:-1][: len(entry.shape) - 1]
        for entry in header.tensors.values()
        if entry.name not in grown
    ) or any(layer.feature_size == class_count for layer in layers)
    modules = {TensorName(layer.weight).module for layer in layers}
    # A layer with as many inputs as classes: those before it have as many outputs.
    chains = {
        TensorName(layer.weight).module[:-1]
        for layer in layers
        if layer.feature_size == class_count and len(TensorName(layer.weight).module) > 1
    }
    ungrown, refused = [], []
    for entry in header.tensors.values():
        if entry.name in grown:
            continue
        is_near = any(_is_in(entry, module) for module in modules) and class_count in entry.shape
        has_rows = entry.shape[:1] == (class_count,)
        if not (is_near or has_rows or _is_of_boxes(entry, modules, class_count)):
            continue
        ungrown.append(entry.name)
        chained = any(_is_in(entry, parent) for parent in chains) and not is_near
        belongs = is_near or not has_rows or _is_of_classes(entry, is_width=is_width)
        belongs = belongs and not chained
        if belongs and not any(fnmatchcase(entry.name, pattern) for pattern in allowed):
            refused.append(entry.name)
    for pattern in allowed:
        if not any(fnmatchcase(name, pattern) for name in header.tensors):
            raise HeaderError(
                f"allow_ungrown names {pattern!r:.80}, and the checkpoint has no such tensor; with "
                f"one entry per class it has, beside the head, {some(ungrown)}"
            )
    if refused:
        raise HeaderError(
            f"{some(refused)} would keep {class_count} entries while {layers[0].weight!r:.80} "
            "grows, and a head is grown whole or not at all. If the rest of the network can do "
            "with that, name them in allow_ungrown"
        )
    return ungrown


def _is_in(entry: TensorEntry, module: tuple[str, ...]) -> bool:
    own = TensorName(entry.name).module
    return own == module or (bool(module) and own[: len(module)] == module)


def _is_of_classes(entry: TensorEntry, *, is_width: bool) -> bool:
    name = TensorName(entry.name)
    if name.place == "body":
        return False
    if name.place == "head" or name.words & names.CLASSWISE:
        return True
    return not is_width and len(entry.shape) <= 2


def _is_of_boxes(entry: TensorEntry, modules: set[tuple[str, ...]], class_count: int) -> bool:
    """Tell the boxes or masks of a detector: some numbers a class, beside its classifier."""
    module = TensorName(entry.name).module
    beside = any(module[:-1] and module[:-1] == other[:-1] for other in modules)
    if not beside or not names.words(module[-1]) & names.BOXES or not entry.shape:
        return False
    rows = entry.shape[0]
    return any(
        count > 1 and rows > count and not rows % count for count in (class_count, class_count - 1)
    )
