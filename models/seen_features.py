"""Features of seen classes, as a generator asks for them: drawn from a head, or uploaded."""

from typing import Protocol

from torch import Tensor


class SeenFeatures(Protocol):
    """Features (N, D), finite, and their labels (N,), which count the seen classes from 0."""

    @property
    def features_ND(self) -> Tensor:  # noqa: N802 - shape suffix
        """The features."""

    @property
    def labels_N(self) -> Tensor:  # noqa: N802 - shape suffix
        """The labels."""
