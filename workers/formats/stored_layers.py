"""Describes how a checkpoint stores a linear layer: weight, bias, weight norm."""

from typing import Literal, get_args

from headgraft.models.heads.stored import StoredLayer
from headgraft.workers.formats import head_names as names
from headgraft.workers.formats.head_names import TensorName
from headgraft.workers.formats.header import Header, HeaderError, TensorEntry, short, some

HeadDtype = Literal["F16", "BF16", "F32", "F64"]
HEAD_DTYPES: tuple[HeadDtype, ...] = get_args(HeadDtype)


def class_axis(entry: TensorEntry, class_count: int) -> int | None:
    """Return the axis of a matrix with one entry per class, None where it has none.

    A matrix may have further axes of size 1, as a convolution of one pixel has.
    """
    shape = entry.shape
    by_row = len(shape) > 1 and shape[0] == class_count and set(shape[2:]) <= {1} and shape[1] > 0
    last = len(shape) - 1
    by_column = len(shape) > 1 and shape[-1] == class_count and set(shape[:-2]) <= {1}
    by_column = by_column and shape[-2] > 1
    if by_row and by_column:
        return last if TensorName(entry.name).parameter == "kernel" else 0
    return 0 if by_row else last if by_column else None


def entry_named(header: Header, name: str) -> TensorEntry:
    """Return a tensor; HeaderError names those that are there."""
    if name not in header.tensors:
        raise HeaderError(
            f"the checkpoint has no tensor {short(name)}; it has {some(header.tensors)}"
        )
    return header.tensors[name]


def feature_size(entry: TensorEntry, class_count: int) -> int:
    """Return D of a weight that has one entry per class."""
    axis = class_axis(entry, class_count)
    assert axis is not None, entry.name
    return entry.shape[1] if axis == 0 else entry.shape[-2]


def stored_layer(
    header: Header, entry: TensorEntry, class_count: int, bias: str | None
) -> StoredLayer:
    """Describe the layer of a weight; HeaderError where it is not stored as we can grow it."""
    if entry.dtype not in HEAD_DTYPES:
        raise HeaderError(
            f"head weight {short(entry.name)} is {entry.dtype}; legal are {', '.join(HEAD_DTYPES)}"
        )
    name = TensorName(entry.name)
    if name.parameter == names.PARAMETRIZED:
        raise HeaderError(
            f"head weight {short(entry.name)} is computed from other tensors in a way that is not "
            "known here: remove the parametrization before you save the network"
        )
    beside = {
        TensorName(other).parameter: other
        for other in header.tensors
        if TensorName(other).module == name.module
    }
    lengths = beside.get(names.LENGTHS.get(name.parameter, "-"))
    if lengths and header.tensors[lengths].shape[:1] != (class_count,):
        raise HeaderError(
            f"{short(lengths)} has shape {list(header.tensors[lengths].shape)}: weight norm that "
            "does not take a length per class changes all rows with every new one"
        )
    if masks := {"weight_mask", "bias_mask"} & set(beside):
        raise HeaderError(
            f"the head {short(entry.name)} is pruned ({some(beside[mask] for mask in masks)}), and "
            "a new row has no mask: make the pruning permanent before you save the network, "
            "torch.nn.utils.prune.remove(layer, 'weight')"
        )
    bias_entry = entry_named(header, bias) if bias else _sibling_bias(header, entry, class_count)
    if bias_entry and (bias_entry.shape != (class_count,) or bias_entry.dtype != entry.dtype):
        raise HeaderError(
            f"bias {short(bias_entry.name)} is {bias_entry.dtype} of shape "
            f"{list(bias_entry.shape)}; beside {short(entry.name)} it must be {entry.dtype} "
            f"of shape [{class_count}]"
        )
    axis = class_axis(entry, class_count)
    assert axis is not None, entry.name
    if lengths and header.tensors[lengths].dtype != entry.dtype:
        raise HeaderError(
            f"{short(lengths)} is {header.tensors[lengths].dtype}; beside {short(entry.name)} it "
            f"must be {entry.dtype}"
        )
    return StoredLayer(
        weight=entry.name,
        bias=bias_entry.name if bias_entry else None,
        feature_size=feature_size(entry, class_count),
        class_axis=axis,
        lengths=lengths,
    )


def _sibling_bias(header: Header, weight: TensorEntry, class_count: int) -> TensorEntry | None:
    """Find the bias of a layer: by its name, or as the one vector of so many numbers beside it."""
    name = TensorName(weight.name)
    near = [
        entry
        for entry in header.tensors.values()
        if len(entry.shape) == 1 and TensorName(entry.name).module == name.module
    ]
    named = [entry for entry in near if TensorName(entry.name).parameter in names.BIASES]
    if len(named) == 1:
        return named[0]
    if not named:
        named = [
            entry
            for entry in header.tensors.values()
            if entry.shape == (class_count,)
            and TensorName(entry.name).parent == name.parent
            and not TensorName(entry.name).words & names.NO_BIASES
            and TensorName(entry.name).parameter not in names.PARAMETERS
            and entry.dtype == weight.dtype
        ]
    if len(named) > 1:
        raise HeaderError(
            f"{len(named)} tensors could be the bias of {short(weight.name)}: "
            f"{some(e.name for e in named)}; name one as head.bias"
        )
    return named[0] if named else None
