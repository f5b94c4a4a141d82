"""Features of pictures with the class that each shows: of any source, a file, for calibration."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, Self

import torch
from torch import Tensor
from torch.nn.functional import normalize

from headgraft.models.errors import InjectionError
from headgraft.models.heads.head import Head

FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
INVALID: Final = "invalid_features"
POINTER = "/features_id"
Source = Literal["labelled", "unlabelled", "generic"]
# Fewer tell less than simulated features do (tests/benchmarks/LOG.md).
CLASSES_MIN, PICTURES_MIN = 20, 60


@dataclass(frozen=True, eq=False)
class LabelledFeatures:
    """Features (N, F) and the class of each (N,), an integer from 0."""

    features_NF: Tensor
    labels_N: Tensor

    def scores(self, weight_CF: Tensor) -> Tensor:
        """Return the products (N, C) of the features with rows."""
        return self.features_NF @ weight_CF.to(self.features_NF).T

    def counts(self, classes: int) -> Tensor:
        """Return the number of features of each of the first `classes` classes (C,)."""
        return torch.bincount(self.labels_N, minlength=classes)

    def show_all(self, classes: int) -> bool:
        """Return whether every one of the first `classes` classes has a feature."""
        return bool((self.counts(classes) > 0).all())

    def suffice(self, chosen_S: Tensor) -> bool:
        """Tell whether the marked classes (S,) have features enough to calibrate by."""
        counts_S = self.counts(len(chosen_S))[chosen_S]
        classes, features = int((counts_S > 0).sum()), int(counts_S.sum())
        return classes >= CLASSES_MIN and features >= PICTURES_MIN

    def of(self, chosen_S: Tensor) -> Self:
        """Return the features of the marked classes (S,), which are counted anew."""
        chosen_N, number_S = chosen_S[self.labels_N], chosen_S.cumsum(0) - 1
        labels_M = number_S[self.labels_N[chosen_N]]
        return replace(self, features_NF=self.features_NF[chosen_N], labels_N=labels_M)


@dataclass(frozen=True, eq=False)
class CalibrationFeatures(LabelledFeatures):
    """Features as the head's metric sees them, float32, with labels int64, both on the CPU.

    `head_accuracy` is the mean over classes of what the head itself recognises. Labels of another
    `source` than "labelled" were guessed by the head.
    """

    head_accuracy: float
    source: Source = "labelled"

    def joined(self, other: "CalibrationFeatures") -> "CalibrationFeatures":
        """Return these features and others of another source, which counts for both."""
        return replace(
            other,
            features_NF=torch.cat([self.features_NF, other.features_NF]),
            labels_N=torch.cat([self.labels_N, other.labels_N]),
        )


def calibration_features(head: Head, features_ND: Tensor, labels_N: Tensor) -> CalibrationFeatures:
    """Take features (N, D) of a head's classes; InjectionError where they do not fit the head.

    For a cosine head they are made as long as its scale, so that products with unit rows are
    logits.
    """
    features_ND, labels_N = checked_features(head, features_ND, labels_N), labels_N.long()
    right_N = head.logits(features_ND).argmax(dim=1).cpu() == labels_N
    weight_N = class_weights(labels_N)
    accuracy = float((right_N.float() * weight_N).sum() / weight_N.sum())
    return CalibrationFeatures(as_scored(head, features_ND), labels_N, accuracy)


def checked_features(head: Head, features_ND: Tensor, labels_N: Tensor) -> Tensor:
    """Return features (N, D) in float32 on the CPU; InjectionError where they do not fit a head."""
    _check_fit(head, features_ND, labels_N)
    return features_ND.detach().to("cpu", torch.float32)


def as_scored(head: Head, features_ND: Tensor) -> Tensor:
    """Make features (N, D) of a cosine head as long as its scale; others stay."""
    return head.scale * normalize(features_ND) if head.metric == "cosine" else features_ND


@dataclass(frozen=True, eq=False)
class UnlabelledFeatures:
    """Features (N, D) of pictures of unknown classes, as the network gives them to its head.

    `generic` ones show anything at all; others show what the head is used for.
    """

    features_ND: Tensor
    generic: bool = False


def class_weights(labels_N: Tensor) -> Tensor:
    """Weigh each feature (N,) so that every class counts alike."""
    return 1 / torch.bincount(labels_N)[labels_N].float()


def check_label_range(labels_N: Tensor, class_count: int, pointer: str = POINTER) -> None:
    """Raise InjectionError naming the first label that is not 0 to `class_count` - 1."""
    labels_N = labels_N.long()
    wrong = ((labels_N < 0) | (labels_N >= class_count)).nonzero().flatten()
    if len(wrong):
        raise InjectionError(
            f"picture {int(wrong[0])} (counted from 0) has the label {int(labels_N[wrong[0]])}; "
            f"with {class_count} classes, labels are 0 to {class_count - 1}",
            code=INVALID,
            pointer=pointer,
        )


def _check_fit(head: Head, features_ND: Tensor, labels_N: Tensor) -> None:
    problem = None
    if features_ND.ndim != 2 or features_ND.shape[1] != head.feature_size:
        problem = (
            f"the features have the shape {tuple(features_ND.shape)}; this head reads "
            f"{head.feature_size} numbers a picture"
        )
    elif labels_N.shape != features_ND.shape[:1] or not len(labels_N):
        problem = (
            f"the labels have the shape {tuple(labels_N.shape)}; there must be one for each of "
            f"the {len(features_ND)} pictures, and at least one"
        )
    elif not torch.isfinite(features_ND).all():
        problem = "the features hold NaN or infinity"
    if problem:
        raise InjectionError(problem, code=INVALID, pointer=POINTER)
    check_label_range(labels_N, head.class_count)


@dataclass(frozen=True, eq=False)
class NamedFeatures(LabelledFeatures):
    """Features of a file: (N, D), or of regions (N, D, R) or (N, D, H, W); finite, no size 0.

    A label counts `class_names` from 0, or the rows of a head where that is None. InjectionError
    for anything else, naming the value and what would do.
    """

    class_names: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        problem = _feature_problem(self.features_NF) or _label_problem(
            self.labels_N, len(self.features_NF)
        )
        if problem:
            raise InjectionError(problem, code=INVALID, pointer="/features")
        if self.class_names is not None:
            check_label_range(self.labels_N, len(self.class_names), "/features")
            for name, count in Counter(self.class_names).items():
                if count > 1:
                    problem = f"class {name!r} stands more than once among the names"
                    raise InjectionError(problem, code=INVALID, pointer="/features")

    def rows_in(self, head_names: Sequence[str]) -> Tensor:
        """Return each picture's row (N,) in a head of these classes, int64.

        InjectionError naming a class of the pictures that the head lacks, or a label beyond it.
        """
        if self.class_names is None:
            check_label_range(self.labels_N, len(head_names), "/features")
            return self.labels_N.long()
        row_of = {name: row for row, name in enumerate(head_names)}
        row_C = torch.tensor([row_of.get(name, -1) for name in self.class_names])
        rows_N = row_C[self.labels_N.long()]
        strange = (rows_N < 0).nonzero().flatten()
        if len(strange):
            raise InjectionError(
                f"the pictures show the class {self.class_names[int(self.labels_N[strange[0]])]!r},"
                f" which the head does not have; its classes are {_some(head_names)}",
                code=INVALID,
                pointer="/features",
            )
        return rows_N


def _feature_problem(features_ND: Tensor) -> str | None:
    shape = tuple(features_ND.shape)
    if len(shape) not in (2, 3, 4) or 0 in shape:
        return (
            f"the features have shape {shape}; they must be (pictures, numbers), or with regions "
            "(pictures, numbers, regions) or (pictures, numbers, height, width)"
        )
    if features_ND.dtype not in FLOATS:
        legal = ", ".join(_short(dtype) for dtype in FLOATS)
        return (
            f"the features are {_short(features_ND.dtype)}; legal are {legal}: what the network "
            "gives to its last layer, not pixels and not codes"
        )
    bad_N = ~torch.isfinite(features_ND).flatten(1).all(dim=1)
    if bad_N.any():
        return (
            f"the features of {int(bad_N.sum())} pictures hold NaN or infinity, "
            f"picture {int(bad_N.nonzero()[0])} (counted from 0) first"
        )
    return None


def _label_problem(labels_N: Tensor, pictures: int) -> str | None:
    if labels_N.shape != (pictures,):
        return (
            f"the labels have shape {tuple(labels_N.shape)}; there are {pictures} pictures, "
            f"so it must be ({pictures},)"
        )
    dtype = labels_N.dtype
    if dtype.is_floating_point or dtype.is_complex or dtype == torch.bool:
        return f"the labels are {_short(dtype)}; they must be integers"
    return None


def _short(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _some(names: Sequence[str], limit: int = 8) -> str:
    shown = ", ".join(repr(name) for name in names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"
