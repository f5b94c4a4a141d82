"""Features of the regions of pictures, with the class that each picture shows."""

from typing import Protocol

from torch import Tensor


class RegionFeatures(Protocol):
    """Region features of N pictures of seen classes, read as they are asked for.

    `labels_N` is int64, on the CPU; `grid` is (height, width), whose product is R.
    """

    @property
    def labels_N(self) -> Tensor: ...

    @property
    def feature_size(self) -> int: ...

    @property
    def grid(self) -> tuple[int, int]: ...

    def take(self, numbers_B: Tensor) -> Tensor:
        """Return the features (B, D, R) of pictures by number: float32, on the CPU."""


def grid_of(regions: int) -> tuple[int, int]:
    """Lay out regions of which only the number is known: a square, or else one line."""
    side = round(regions**0.5)
    return (side, side) if side * side == regions else (1, regions)
