"""Batches of labelled features in which some classes compete."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Batch:
    """Numbers of features (B,), the classes (M,) that compete, and which of these each shows (B,).

    All are int64 on the device of the labels.
    """

    features_B: Tensor
    classes_M: Tensor
    targets_B: Tensor


def class_batches(
    labels_N: Tensor, competing: int, size: int, steps: int, few: int, generator: torch.Generator
) -> Iterator[Batch]:
    """Yield `steps` batches of `size` features; of the first `competing` classes, `few` compete.

    Those are chosen at random among the classes that have features, and the batch shows no other.
    With `few` 0, or no fewer than there are classes, all compete, and every feature is shown once
    before any is shown again.
    """
    if few == 0 or few >= competing:
        return _epochs(labels_N, competing, size, steps, generator)
    return _contests(labels_N, size, steps, few, generator)


def _epochs(
    labels_N: Tensor, competing: int, size: int, steps: int, generator: torch.Generator
) -> Iterator[Batch]:
    classes_M = torch.arange(competing, device=labels_N.device)
    left: list[Tensor] = []
    for _ in range(steps):
        if not left:
            order_N = _shuffled(len(labels_N), generator).to(labels_N.device)
            left = list(torch.split(order_N, size))
        features_B = left.pop(0)
        yield Batch(features_B, classes_M, labels_N[features_B])


def _contests(
    labels_N: Tensor, size: int, steps: int, few: int, generator: torch.Generator
) -> Iterator[Batch]:
    shown_S = torch.bincount(labels_N).nonzero()[:, 0]
    for _ in range(steps):
        chosen_M = _shuffled(len(shown_S), generator)[:few].to(labels_N.device)
        classes_M = shown_S[chosen_M].sort().values
        inside_N = torch.isin(labels_N, classes_M).nonzero()[:, 0]
        features_B = inside_N[_shuffled(len(inside_N), generator)[:size].to(labels_N.device)]
        yield Batch(features_B, classes_M, torch.searchsorted(classes_M, labels_N[features_B]))


def _shuffled(count: int, generator: torch.Generator) -> Tensor:
    # Drawn on the CPU: the same seed means the same batches on every device.
    return torch.randperm(count, generator=generator)
