"""Says in which tensors of a file a linear layer is stored, and how."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class StoredLayer:
    """One linear layer of a head by the names of its tensors; `feature_size` is its own D.

    `class_axis` is the axis of `weight` with one entry per class: 0, or the last of a transposed
    kernel; its other axes but one have size 1. `lengths` (weight norm) are the rows' lengths, and
    `weight` their directions then. A layer that `is_copy` follows the one that it repeats, an
    averaged copy for one, and gets its rows.
    """

    weight: str
    bias: str | None = None
    feature_size: int = 0
    class_axis: int = 0
    lengths: str | None = None
    is_copy: bool = False

    @property
    def tensors(self) -> Iterator[str]:
        """The names of all tensors that grow with the layer."""
        return (name for name in (self.weight, self.bias, self.lengths) if name)


def axis_of(name: str, layers: Sequence[StoredLayer]) -> int:
    """Return the axis along which a tensor of these layers grows."""
    return next((layer.class_axis for layer in layers if layer.weight == name), 0)
