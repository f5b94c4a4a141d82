"""A task for feature generators: class means follow from class embeddings; no test lives here."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from headgraft.models.features.labelled import LabelledFeatures
from tests.models.planted_clusters import around


@dataclass(frozen=True, eq=False)
class Planted(LabelledFeatures):
    """Unit features of the seen classes, class embeddings (C, A) and means (C, D) of all."""

    text_CA: Tensor
    means_CD: Tensor
    unseen: int


def planted(seen: int = 40, unseen: int = 8, *, count: int = 20, noise: float = 0.5) -> Planted:
    """Plant classes of 12 numbers in features of 16; `noise` is a feature's deviation."""
    generator = torch.Generator().manual_seed(5)
    text_CA = normalize(torch.randn(seen + unseen, 12, generator=generator))
    means_CD = normalize(text_CA @ torch.randn(12, 16, generator=generator))
    features_ND, labels_N = around(means_CD[:seen], count=count, noise=noise, generator=generator)
    return Planted(features_ND, labels_N, text_CA, means_CD, unseen)


def nearest_own_mean(task: Planted, features_MD: Tensor, labels_M: Tensor) -> float:
    """Return the share of unseen features nearest to their own among the unseen means."""
    S = len(task.means_CD) - task.unseen
    nearest_M = (features_MD @ task.means_CD[S:].T).argmax(dim=1)
    return float((nearest_M + S == labels_M).double().mean())
