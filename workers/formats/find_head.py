"""Finds the classifier head among the tensors of a checkpoint."""

from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict

from headgraft.workers.formats.header import Header, HeaderError, TensorEntry, short, some

HeadDtype = Literal["F16", "BF16", "F32", "F64"]
HEAD_DTYPES: tuple[HeadDtype, ...] = get_args(HeadDtype)
HEAD_MODULES = ("fc", "_fc", "head", "heads.head", "head.fc", "classifier", "linear", "last_linear")


class HeadTensors(BaseModel):
    """Where a checkpoint keeps its head: weight (C, D), bias (C,) or None."""

    model_config = ConfigDict(frozen=True)

    weight: str
    bias: str | None
    class_count: int
    feature_size: int
    dtype: HeadDtype


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
            f"bias {short(bias_entry.name)} is {bias_entry.dtype} of shape "
            f"{list(bias_entry.shape)}; beside {short(entry.name)} it must be {entry.dtype} "
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
            f"the checkpoint has no tensor {short(name)}; it has {some(header.tensors)}"
        )
    return header.tensors[name]


def _detect_weight(header: Header, class_count: int) -> TensorEntry:
    matrices = [entry for entry in header.tensors.values() if len(entry.shape) == 2]
    fits = [entry for entry in matrices if entry.shape[0] == class_count]
    if not fits:
        seen = some(f"{entry.name} {list(entry.shape)}" for entry in matrices)
        raise HeaderError(
            f"no 2-D tensor of the checkpoint has {class_count} rows, one per class name; "
            f"its 2-D tensors are {seen}"
        )
    customary = [entry for entry in fits if _is_customary(entry.name)]
    choice = customary if len(fits) > 1 and customary else fits
    if len(choice) > 1:
        raise HeaderError(
            f"{len(choice)} tensors could be the head: {some(e.name for e in choice)}; "
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
            f"head weight {short(entry.name)} is {entry.dtype}; legal are {', '.join(HEAD_DTYPES)}"
        )
    if len(entry.shape) != 2 or entry.shape[0] != class_count or entry.shape[1] == 0:
        raise HeaderError(
            f"head weight {short(entry.name)} has shape {list(entry.shape)}, "
            f"but there are {class_count} class names: it needs one row per class"
        )


def _sibling_bias(header: Header, weight: TensorEntry) -> TensorEntry | None:
    if not weight.name.endswith("weight"):
        return None
    return header.tensors.get(weight.name.removesuffix("weight") + "bias")
