"""Labelled features of real pictures of seen classes, as calibration plays with them.

They take the place of virtual features; this file does not know where they came from.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from headgraft.models.errors import InjectionError
from headgraft.models.heads.head import Head

# Fewer tell less than virtual features do (tests/benchmarks/LOG.md).
CLASSES_MIN, PICTURES_MIN = 20, 60
POINTER = "/features_id"


@dataclass(frozen=True, eq=False)
class Pictures:
    """Features (N, D) as the head's metric sees them, in float32, with seen labels (N,) int64.

    `head_accuracy` is the mean over classes of what the head itself recognises.
    """

    features_ND: Tensor  # noqa: N815 - shape suffix
    labels_N: Tensor  # noqa: N815 - shape suffix
    head_accuracy: float

    def scores(self, weight_CD: Tensor) -> Tensor:
        """Return the products (N, C) of the features with rows."""
        return self.features_ND @ weight_CD.to(self.features_ND).T

    def counts(self, classes: int) -> Tensor:
        """Return the number of pictures of each class (S,)."""
        return torch.bincount(self.labels_N, minlength=classes)

    def of(self, kept_S: Tensor) -> "Pictures":
        """Return the pictures of the marked classes, which are counted anew."""
        kept_N, number_S = kept_S[self.labels_N], kept_S.cumsum(0) - 1
        labels_M = number_S[self.labels_N[kept_N]]
        return Pictures(self.features_ND[kept_N], labels_M, self.head_accuracy)

    def show_all(self, classes: int) -> bool:
        """Tell whether each of so many classes has a picture."""
        return bool((self.counts(classes) > 0).all())

    def suffice(self, known_S: Tensor) -> bool:
        """Tell whether the marked classes have pictures enough to calibrate by."""
        counts_S = self.counts(len(known_S))[known_S]
        classes, pictures = int((counts_S > 0).sum()), int(counts_S.sum())
        return classes >= CLASSES_MIN and pictures >= PICTURES_MIN


def look(head: Head, features_ND: Tensor, labels_N: Tensor) -> Pictures:
    """Take features (N, D) of a head's classes; InjectionError where they do not fit the head.

    For a cosine head they are made as long as its scale, so that products with unit rows are
    logits.
    """
    _check(head, features_ND, labels_N)
    features_ND, labels_N = features_ND.detach().to("cpu", torch.float32), labels_N.long()
    right_N = head.logits(features_ND).argmax(dim=1).cpu() == labels_N
    weight_N = class_weights(labels_N)
    accuracy = float((right_N.float() * weight_N).sum() / weight_N.sum())
    if head.metric == "cosine":
        features_ND = head.scale * normalize(features_ND)
    return Pictures(features_ND, labels_N, accuracy)


def class_weights(labels_N: Tensor) -> Tensor:
    """Weigh each picture (N,) so that every class counts alike."""
    return 1 / torch.bincount(labels_N)[labels_N].float()


def _check(head: Head, features_ND: Tensor, labels_N: Tensor) -> None:
    if features_ND.ndim != 2 or features_ND.shape[1] != head.feature_size:
        raise _error(
            f"the features have the shape {tuple(features_ND.shape)}; this head reads "
            f"{head.feature_size} numbers a picture"
        )
    if labels_N.shape != features_ND.shape[:1] or not len(labels_N):
        raise _error(
            f"the labels have the shape {tuple(labels_N.shape)}; there must be one for each of "
            f"the {len(features_ND)} pictures, and at least one"
        )
    low, high = int(labels_N.min()), int(labels_N.max())
    if low < 0 or high >= head.class_count:
        raise _error(
            f"the label {low if low < 0 else high} is none of the head's {head.class_count} "
            f"classes, 0 to {head.class_count - 1}"
        )
    if not torch.isfinite(features_ND).all():
        raise _error("the features hold NaN or infinity")


def _error(message: str) -> InjectionError:
    return InjectionError(message, code="invalid_features", pointer=POINTER)
