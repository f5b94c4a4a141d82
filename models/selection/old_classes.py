"""Which old classes lose pictures to new ones, and where rows at chance stand to take few.

The final rows are played against the old ones, on the user's features where there are enough, on
simulated ones else. A class has few features, so that its loss is read off how near the new rows
come, and the losses of all are scaled to the share of pictures that is really lost.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from headgraft.models.features.labelled import LabelledFeatures
from headgraft.models.heads.head import Head
from headgraft.models.heads.rows import regression_rows
from headgraft.models.selection.calibrate import HeadContext
from headgraft.models.selection.trade_off import SCALES

# The most that classes at chance may cost the old ones, in mean accuracy, if all new ones are:
# they gain nothing for it. Their share of the new classes is their share of it.
CHANCE_LOSS_MAX = 0.005
# Scales below those that calibration chooses from: the row is hardly away from the mean row.
SHORTER = (0.4, 0.3, 0.2, 0.1, 0.0)
SOFTNESS = 0.3  # of the deviation of margins: how far apart two pictures of a class may lie
NAMED = 10


@dataclass(frozen=True)
class ExpectedLoss:
    """An old class that is expected to lose `loss` of its pictures, most of them to `to`."""

    name: str
    loss: float
    to: str


@dataclass(frozen=True, eq=False)
class OldScores:
    """The best old logit of every feature (N,), whether it is right, and the class it shows."""

    features: LabelledFeatures
    mean_K: Tensor
    biased: bool
    best_N: Tensor
    right_N: Tensor

    @classmethod
    def of(cls, context: HeadContext, known_S: Tensor) -> "OldScores":
        """Score the old rows of a head, of which the classes `known_S` can be hidden."""
        real = context.enough_features(known_S)
        features: LabelledFeatures = real or context.simulated
        # What simulated features add by the bias is not known: they lack the mean feature.
        biased = real is not None and context.head.bias is not None
        mean_K = context.rows_SK.mean(dim=0)
        best = _scores(features, context.rows_SK, mean_K, context.head, biased=biased).max(dim=1)
        return cls(features, mean_K, biased, best.values, best.indices == features.labels_N)

    def margins(self, new: Head) -> Tensor:
        """Return how far each new logit is below the best old one (N, U)."""
        rows_UK = regression_rows(new, "cpu").float()
        new_NU = _scores(self.features, rows_UK, self.mean_K, new, biased=self.biased)
        return self.best_N[:, None] - new_NU

    def loss(self, new: Head) -> float:
        """Return the share of pictures, mean over old classes, that the new classes take."""
        return self._lost(self.margins(new).amin(dim=1))

    def _lost(self, nearest_N: Tensor) -> float:
        """Return the lost share, mean over old classes, by each picture's smallest margin."""
        return float(self._class_means((self.right_N & (nearest_N < 0)).float()).nanmean())

    def class_losses(self, new: Head) -> tuple[Tensor, Tensor]:
        """Return the expected loss of each old class (S,), NaN without a feature, and to whom."""
        margin_NU = self.margins(new)
        nearest_N = margin_NU.amin(dim=1)
        width = SOFTNESS * float(nearest_N[self.right_N].std()) + 1e-12
        taken_N = torch.special.ndtr(-nearest_N / width) * self.right_N
        soft_S = self._class_means(taken_N)
        scale = self._lost(nearest_N) / max(float(soft_S.nanmean()), 1e-12)
        right_S = self._class_means(self.right_N.float())
        weight_NU = torch.special.ndtr(-margin_NU / width) * self.right_N[:, None]
        taken_SU = torch.zeros(len(soft_S), weight_NU.shape[1])
        taken_SU.index_add_(0, self.features.labels_N, weight_NU)
        return torch.minimum(soft_S * scale, right_S), taken_SU.argmax(dim=1)

    def _class_means(self, values_N: Tensor) -> Tensor:
        labels_N = self.features.labels_N
        counts_S = torch.bincount(labels_N)
        return torch.zeros(len(counts_S)).index_add_(0, labels_N, values_N) / counts_S


def _scores(
    features: LabelledFeatures, rows_CK: Tensor, mean_K: Tensor, head: Head, *, biased: bool
) -> Tensor:
    D = head.feature_size
    # The mean row adds the same to every class's score. Simulated features leave it out, so that
    # real ones must, too.
    scores_NC = features.scores(rows_CK[:, :D] - mean_K[:D])
    return scores_NC + (rows_CK[:, D] - mean_K[D]) if biased else scores_NC


def worst_losses(old: OldScores, seen: Head, unseen: Head) -> tuple[ExpectedLoss, ...]:
    """Name the old classes that are expected to lose most, the worst first."""
    loss_S, to_S = old.class_losses(unseen)
    order = loss_S.nan_to_num(-1.0).argsort(descending=True, stable=True)[:NAMED].tolist()
    return tuple(
        ExpectedLoss(seen.class_names[number], loss, unseen.class_names[int(to_S[number])])
        for number in order
        if (loss := float(loss_S[number])) > 0
    )


def scale_within(
    old: OldScores, place_at: Callable[[float], Head], scale: float, loss_max: float
) -> float:
    """Return the largest scale, `scale` at most, at which rows cost at most `loss_max`.

    Of a cosine head even a row that is hardly away from the mean row can cost more: then the scale
    that costs least.
    """
    costs: dict[float, float] = {}
    for smaller in (scale, *(one for one in SCALES[::-1] if one < scale), *SHORTER):
        costs[smaller] = old.loss(place_at(smaller))
        if costs[smaller] <= loss_max:
            return smaller
    return min(costs, key=lambda one: costs[one])
