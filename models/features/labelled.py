"""Features of pictures with labels, as files hold them and as calibration uses them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from headgraft.models.errors import InjectionError
from headgraft.models.heads.head import Head

FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
POINTER = "/features_id"


@dataclass(frozen=True, eq=False)
class Labelled:
    """features (N, D) finite floats, labels (N,) whole numbers; N and D at least 1.

    Of regions, features are (N, D, R) or (N, D, H, W).
    A label counts `class_names` from 0, or the rows of a head where that is None.
    """

    features_ND: Tensor
    labels_N: Tensor
    class_names: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        _check_features(self.features_ND)
        _check_labels(self.labels_N, len(self.features_ND))
        if self.class_names is not None:
            _check_range(self.labels_N, len(self.class_names))
            repeated = [name for name, count in Counter(self.class_names).items() if count > 1]
            if repeated:
                raise features_error(f"class {repeated[0]!r} stands more than once among the names")

    def rows_in(self, head_names: Sequence[str]) -> Tensor:
        """Return each picture's row (N,) in a head of these classes, int64.

        InjectionError naming a class of the pictures that the head lacks, or a label beyond it.
        """
        if self.class_names is None:
            _check_range(self.labels_N, len(head_names))
            return self.labels_N.long()
        row_of = {name: row for row, name in enumerate(head_names)}
        row_C = torch.tensor([row_of.get(name, -1) for name in self.class_names])
        rows_N = row_C[self.labels_N.long()]
        strange = (rows_N < 0).nonzero().flatten()
        if len(strange):
            name = self.class_names[int(self.labels_N[strange[0]])]
            raise features_error(
                f"the pictures show the class {name!r}, which the head does not have; "
                f"its classes are {_some(head_names)}"
            )
        return rows_N


def features_error(message: str) -> InjectionError:
    """Make the error of a defect in labelled features."""
    return InjectionError(message, code="invalid_features", pointer="/features")


def _check_features(features_ND: Tensor) -> None:
    shape = tuple(features_ND.shape)
    if len(shape) not in (2, 3, 4) or 0 in shape:
        raise features_error(
            f"the features have shape {shape}; they must be (pictures, numbers), or with regions "
            "(pictures, numbers, regions) or (pictures, numbers, height, width)"
        )
    if features_ND.dtype not in FLOATS:
        legal = ", ".join(_short(dtype) for dtype in FLOATS)
        raise features_error(
            f"the features are {_short(features_ND.dtype)}; legal are {legal}: what the network "
            "gives to its last layer, not pixels and not codes"
        )
    bad_N = ~torch.isfinite(features_ND).flatten(1).all(dim=1)
    if bad_N.any():
        first = int(bad_N.nonzero()[0])
        raise features_error(
            f"the features of {int(bad_N.sum())} pictures hold NaN or infinity, "
            f"picture {first} (counted from 0) first"
        )


def _check_labels(labels_N: Tensor, pictures: int) -> None:
    if labels_N.shape != (pictures,):
        raise features_error(
            f"the labels have shape {tuple(labels_N.shape)}; there are {pictures} pictures, "
            f"so it must be ({pictures},)"
        )
    kind = labels_N.dtype
    if kind.is_floating_point or kind.is_complex or kind == torch.bool:
        raise features_error(f"the labels are {_short(kind)}; they must be integers")


def _check_range(labels_N: Tensor, class_count: int) -> None:
    labels_N = labels_N.long()
    out = ((labels_N < 0) | (labels_N >= class_count)).nonzero().flatten()
    if len(out):
        raise features_error(
            f"picture {int(out[0])} (counted from 0) has the label {int(labels_N[out[0]])}; "
            f"with {class_count} classes, labels are 0 to {class_count - 1}"
        )


def _short(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _some(names: Sequence[str], limit: int = 8) -> str:
    shown = ", ".join(repr(name) for name in names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"


# Fewer tell less than virtual features do (tests/benchmarks/LOG.md).
CLASSES_MIN, PICTURES_MIN = 20, 60


@dataclass(frozen=True, eq=False)
class Pictures:
    """Features (N, D) as the head's metric sees them, in float32, with seen labels (N,) int64.

    `head_accuracy` is the mean over classes of what the head itself recognises.
    """

    features_ND: Tensor
    labels_N: Tensor
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
        """Return whether every one of the first `classes` classes has a picture."""
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
