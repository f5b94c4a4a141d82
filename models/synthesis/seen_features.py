"""Features of seen classes, as a generator asks for them: uploaded, or made from the head."""

from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import normalize

from headgraft.models.progress import Report
from headgraft.models.synthesis.virtual_features import (
    Virtual,
    VirtualFeaturesConfig,
    virtual_features,
)
from headgraft.models.task import Task


class SeenFeatures(Protocol):
    """Features (N, D), finite, and their labels (N,), which count the seen classes from 0."""

    @property
    def features_ND(self) -> Tensor:  # noqa: N802 - shape suffix
        """The features."""

    @property
    def labels_N(self) -> Tensor:  # noqa: N802 - shape suffix
        """The labels."""


def training_features(
    task: Task,
    start_SD: Tensor,
    config: VirtualFeaturesConfig,
    progress: Report,
    generator: torch.Generator,
) -> Virtual:
    """Return unit features to train on: the task's pictures where they show every seen class.

    Virtual ones else, from `start_SD` on; on its device, in its dtype. Never both: pictures hold
    the mean of all features, virtual ones do not. Few pictures are repeated until there are about
    as many as there would be virtual ones, since the number of steps follows from that.
    """
    pictures, S = task.pictures, task.head.class_count
    if pictures is None or not pictures.show_all(S):
        return virtual_features(task.head, start_SD, config, progress, generator)
    repeats = max(1, config.count * S // len(pictures.labels_N))
    labels_N = pictures.labels_N.repeat(repeats).to(start_SD.device)
    features_ND = normalize(pictures.features_ND).repeat(repeats, 1).to(start_SD)
    counts_S = torch.bincount(labels_N, minlength=S)
    return Virtual(features_ND, labels_N, counts_S, int(counts_S.max()))
