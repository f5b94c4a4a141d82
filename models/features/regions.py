"""Pictures as features of their regions, with labels; it does not know where they are kept."""

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from headgraft.models.errors import InjectionError

POINTER = "/features_id"


class Regions(Protocol):
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


@dataclass(frozen=True, eq=False)
class HeldRegions:
    """Region features (N, D, R) and labels (N,) in memory."""

    features_NDR: Tensor
    labels_N: Tensor

    @property
    def feature_size(self) -> int:
        """D."""
        return self.features_NDR.shape[1]

    @property
    def grid(self) -> tuple[int, int]:
        """How R regions lie: in a square where they can."""
        return grid_of(self.features_NDR.shape[2])

    def take(self, numbers_B: Tensor) -> Tensor:
        """Return the features (B, D, R) of pictures by number: float32, on the CPU."""
        return self.features_NDR[numbers_B].float().cpu()


def grid_of(regions: int) -> tuple[int, int]:
    """Lay out regions of which only the number is known: a square, or else one line."""
    side = round(regions**0.5)
    return (side, side) if side * side == regions else (1, regions)


def regions_error(message: str) -> InjectionError:
    """Make the error of region features that cannot be used."""
    return InjectionError(message, code="invalid_features", pointer=POINTER)
