"""Heads trained on four CLIP picture features a class, and the folds that test them.

It does not know which method extends them. Logistic regression, C = 0.316, no intercept; three
further pictures a class measure. Training takes about a second a fold.
"""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from headgraft.models.heads.head import Head, Metric
from headgraft.models.task import Task
from tests.benchmarks.data import read_class_names

TRAINING, FEATURES = 4, "imagenet_clip_vit_b32_features.safetensors"


@dataclass(frozen=True, eq=False)
class ClipFold:
    """A trained head over the seen classes, and the features (S, 4, D) it was trained on.

    The test features (C, 3, D) are of all classes.
    """

    seen: Tensor
    unseen: Tensor
    weight_SD: Tensor
    test_C3D: Tensor
    training_S4D: Tensor


@cache
def read_clip_folds(folder: Path) -> tuple[ClipFold, ...]:
    """Train a head for each of the five folds of 200 unseen classes."""
    from sklearn.linear_model import LogisticRegression

    (features_CND,) = load_file(folder / FEATURES).values()
    features_CND = features_CND.float()
    folds = json.loads((folder / "folds.json").read_text())["unseen_200_of_1000"]
    found = []
    for indices in folds:
        hidden_C = torch.zeros(len(features_CND), dtype=torch.bool)
        hidden_C[indices] = True
        seen, unseen = (~hidden_C).nonzero()[:, 0], hidden_C.nonzero()[:, 0]
        training_S4D = features_CND[seen, :TRAINING]
        training = training_S4D.flatten(0, 1).numpy()
        labels = torch.arange(len(seen)).repeat_interleave(TRAINING).numpy()
        model = LogisticRegression(C=0.316, fit_intercept=False, max_iter=1000)
        weight = torch.from_numpy(model.fit(training, labels).coef_).float()
        found.append(ClipFold(seen, unseen, weight, features_CND[:, TRAINING:], training_S4D))
    return tuple(found)


def clip_task(folder: Path, fold: ClipFold, embeddings_CA: Tensor, metric: Metric) -> Task:
    """Make the task of a fold, its classes known by their numbers too."""
    names = [f"{index} {name}" for index, name in enumerate(read_class_names(folder))]
    head = Head(fold.weight_SD, None, tuple(names[index] for index in fold.seen.tolist()), metric)
    return Task(
        head,
        embeddings_CA[fold.seen],
        embeddings_CA[fold.unseen],
        tuple(names[index] for index in fold.unseen.tolist()),
    )


def measured_on(fold: ClipFold) -> tuple[Tensor, Tensor]:
    """Return the test features (N, D) and their labels (N,) in the extended head's order."""
    ordered_C3D = fold.test_C3D[torch.cat([fold.seen, fold.unseen])]
    labels_N = torch.arange(len(ordered_C3D)).repeat_interleave(ordered_C3D.shape[1])
    return ordered_C3D.flatten(0, 1), labels_N


def own_accuracy(fold: ClipFold, head: Head) -> float:
    """Return the share of test features of seen classes that the trained head recognises."""
    features_ND = fold.test_C3D[fold.seen].flatten(0, 1)
    labels_N = torch.arange(len(fold.seen)).repeat_interleave(fold.test_C3D.shape[1])
    return float((head.logits(features_ND).argmax(dim=1) == labels_N).double().mean())
