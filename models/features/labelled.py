"""Pictures as features with labels; it does not know what file they came from."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from headgraft.models.errors import InjectionError

FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


@dataclass(frozen=True, eq=False)
class Labelled:
    """features (N, D) finite floats, labels (N,) whole numbers; N and D at least 1.

    Of regions, features are (N, D, R) or (N, D, H, W).
    A label counts `class_names` from 0, or the rows of a head where that is None.
    """

    features_ND: Tensor  # noqa: N815 - shape suffix
    labels_N: Tensor  # noqa: N815 - shape suffix
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
