"""Unit features around planted class means; no test lives here."""

import torch
from torch import Tensor
from torch.nn.functional import normalize


def clusters(
    classes: int, size: int, *, count: int, noise: float, seed: int = 0
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """Return unit means (C, D), and `count` unit features a class (N, D) with labels (N,).

    `noise` is the length of the mean deviation of a feature from its class's mean.
    """
    generator = torch.Generator().manual_seed(seed)
    means_CD = normalize(torch.randn(classes, size, generator=generator))
    return means_CD, around(means_CD, count=count, noise=noise, generator=generator)


def around(
    means_CD: Tensor, *, count: int, noise: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Draw `count` unit features around each mean: (N, D), with labels (N,)."""
    labels_N = torch.arange(len(means_CD)).repeat_interleave(count)
    D = means_CD.shape[1]
    drawn_ND = torch.randn(len(labels_N), D, generator=generator) * noise / D**0.5
    return normalize(means_CD[labels_N] + drawn_ND), labels_N
