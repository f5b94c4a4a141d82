"""Chooses where injected rows stand, from rows that hidden seen classes would have got.

It does not know which method made them.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from models.calibration import regression_rows, restore_norms
from models.estimate import Simulated
from models.feature_model import VirtualFeatures, draw
from models.head import Head
from models.leave_out import LeftOut
from models.trade_off import Rays, make_groups, play

ASSUMED_ACCURACY = 0.85
# Rows of another origin (text vectors, say) have a mean of their own; it is theirs that counts.
FOREIGN_MEAN = 0.5


@dataclass(frozen=True, eq=False)
class Ground:
    """A head as calibration sees it: rows theta (S, K) and features drawn from them."""

    head: Head
    rows_SK: Tensor  # noqa: N815 - shape suffix
    clear: VirtualFeatures
    real: VirtualFeatures

    @property
    def distance(self) -> float:
        """The rows' mean distance from their mean row."""
        return float((self.rows_SK - self.rows_SK.mean(dim=0)).norm(dim=1).mean())


@dataclass(frozen=True)
class Calibration:
    """How rows were placed: `scale` seen mean distances from the mean row, each alike.

    `bias_shift` is added to the bias of every injected row, in logits.
    """

    scale: float
    equal_distance: bool = True
    bias_shift: float = 0.0


def survey(head: Head, accuracy: float | None) -> Ground:
    """Draw virtual features of a head whose own accuracy is known, or assumed (None)."""
    rows_SK = regression_rows(head, "cpu").float()
    weight_SD = rows_SK[:, : head.feature_size]
    known = ASSUMED_ACCURACY if accuracy is None else accuracy
    clear = draw(weight_SD, max(known, ASSUMED_ACCURACY))
    real = clear if known >= ASSUMED_ACCURACY else draw(weight_SD, known)
    return Ground(head, rows_SK, clear, real)


def simulate(ground: Ground, left_out: LeftOut, unseen: int) -> Simulated:
    """Play the injection of `unseen` classes with hidden seen ones, at all scales."""
    D = ground.head.feature_size
    directions_SK = ground.distance * normalize(left_out.rows_SK - centre_of(ground, left_out))
    rays = Rays(
        ground.rows_SK.mean(dim=0)[:D], directions_SK[:, :D], ground.head.metric == "cosine"
    )
    groups = make_groups(left_out.fold_S, left_out.known_S, unseen)
    weight_SD = ground.rows_SK[:, :D]
    clear = play(ground.clear, weight_SD, rays, groups)
    same = ground.real is ground.clear
    return Simulated(clear, clear if same else play(ground.real, weight_SD, rays, groups))


def centre_of(ground: Ground, left_out: LeftOut) -> Tensor:
    """Return the point (K,) from which predicted rows have their directions."""
    mean_K = ground.rows_SK.mean(dim=0)
    predicted_K = left_out.rows_SK[left_out.known_S].mean(dim=0)
    foreign = float((predicted_K - mean_K).norm()) > FOREIGN_MEAN * ground.distance
    return predicted_K if foreign else mean_K


def place(ground: Ground, raw: Head, centre_K: Tensor, calibration: Calibration) -> Head:
    """Move rows to the calibrated distance from the seen mean row; directions stay."""
    head = ground.head
    rows_SK = regression_rows(head, "cpu")
    direction_UK = normalize(regression_rows(raw, "cpu") - centre_K)
    distance = (rows_SK - rows_SK.mean(dim=0)).norm(dim=1).mean()
    rows_UK = rows_SK.mean(dim=0) + direction_UK * (calibration.scale * distance)
    if head.bias is not None and calibration.bias_shift:
        shift_K = torch.zeros(rows_UK.shape[1], dtype=rows_UK.dtype)
        shift_K[-1] = calibration.bias_shift
        rows_UK = rows_UK + shift_K
    return head.with_rows(restore_norms(rows_UK, head), raw.class_names)


def present_scale(ground: Ground, raw: Head, centre_K: Tensor) -> float:
    """Return the scale at which rows stand as they come."""
    rows_UK = regression_rows(raw, "cpu").float()
    length = float((rows_UK - centre_K).norm(dim=1).mean())
    return length / ground.distance if ground.distance else 1.0
