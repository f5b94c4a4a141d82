"""The protocol of heads that are not a plain linear layer."""

from typing import Protocol

from torch import Tensor


class NativeHead(Protocol):
    """A head of its own kind: it scores features, and says itself how a file of it is read."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """One name per class, in the order of the logits."""

    @property
    def class_count(self) -> int:
        """C."""

    @property
    def offsets_C(self) -> Tensor:
        """What is added to the class scores (C,) at the end, float32."""

    def logits(self, features: Tensor, /) -> Tensor:
        """Score features (N, D), or (N, D, R) with regions: (N, C)."""

    def state_dict(self) -> dict[str, Tensor]:
        """Return the tensors of a file."""

    def metadata(self) -> dict[str, str]:
        """Return what a file must say beside the tensors."""
