"""Chooses where injected rows stand, from rows that hidden seen classes would have got.

It does not know which method made them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import normalize

from headgraft.models.features.labelled import Pictures
from headgraft.models.heads.head import Head
from headgraft.models.heads.rows import regression_rows, restore_norms
from headgraft.models.selection.estimate import FLATNESS, Prefer, Simulated
from headgraft.models.selection.leave_out import LeftOut
from headgraft.models.selection.trade_off import Rays, make_groups, play
from headgraft.models.synthesis.simulated_features import VirtualFeatures, draw

# Rows of another origin (text vectors, say) have a mean of their own; it is theirs that counts.
FOREIGN_MEAN = 0.5
# Of the objective: what a thousand pictures cannot tell apart.
NO_DIFFERENCE = 0.01
# In deviations of a picture's logits over the seen classes.
STEPS = (0.0, 0.5, -0.5, 1.0, -1.0, 1.5, 2.0, 2.5, 3.0, 4.0)


@dataclass(frozen=True, eq=False)
class Ground:
    """A head as calibration sees it: rows theta (S, K), features drawn from them, and pictures.

    The pictures are real ones of its classes, where the user gave any. `accuracy` is the head's
    own, where known.
    """

    head: Head
    rows_SK: Tensor
    features: VirtualFeatures
    accuracy: float | None = None
    pictures: Pictures | None = None

    def replacing(self, head: Head) -> "Ground":
        """Return the ground on which another head stands, about whose classes nothing is new."""
        return replace(self, head=head, rows_SK=regression_rows(head, "cpu").float())

    @property
    def distance(self) -> float:
        """The rows' mean distance from their mean row."""
        return float((self.rows_SK - self.rows_SK.mean(dim=0)).norm(dim=1).mean())

    def pictures_for(self, known_S: Tensor) -> Pictures | None:
        """Return the pictures if there are enough of the classes that can be hidden."""
        enough = self.pictures is not None and self.pictures.suffice(known_S)
        return self.pictures if enough else None

    def groups(self, left_out: LeftOut, unseen: int) -> list[Tensor]:
        """Choose the groups of hidden classes that play the `unseen` ones.

        Each has a class of which there is a feature: of a large head, most classes have none.
        """
        pictures = self.pictures_for(left_out.known_S)
        labels_N = pictures.labels_N if pictures else self.features.labels_N
        shown_S = torch.bincount(labels_N, minlength=len(left_out.fold_S)) > 0
        if pictures is None:
            groups = make_groups(left_out.fold_S, left_out.known_S, unseen)
            if all(shown_S[group].any() for group in groups):
                return groups
        return make_groups(left_out.fold_S, left_out.known_S, unseen, shown_S=shown_S)


@dataclass(frozen=True)
class Calibration:
    """How rows were placed: `scale` seen mean distances from the mean row, each alike or
    on average.

    `bias_shift` is added to the bias of every injected row, in logits.
    """

    scale: float
    equal_distance: bool = True
    bias_shift: float = 0.0


def survey(head: Head, accuracy: float | None, pictures: Pictures | None = None) -> Ground:
    """Draw virtual features of a head whose own accuracy is known, or assumed (None)."""
    rows_SK = regression_rows(head, "cpu").float()
    weight_SD = rows_SK[:, : head.feature_size]
    return Ground(head, rows_SK, draw(weight_SD, accuracy), accuracy, pictures)


def simulate(ground: Ground, left_out: LeftOut, unseen: int) -> Simulated:
    """Play the injection of `unseen` classes with hidden seen ones, at all scales.

    On the pictures where they suffice, on virtual features else.
    """
    if ground.pictures_for(left_out.known_S):
        return simulate_shifted(ground, left_out, unseen, (0.0,))[0]
    ground = _standing(ground, left_out)
    rays, groups = _rays(ground, left_out), ground.groups(left_out, unseen)
    weight_SD = ground.rows_SK[:, : ground.head.feature_size]
    (played,) = play(_told(ground, left_out, rays), weight_SD, rays, groups)
    return Simulated(played)


def _standing(ground: Ground, left_out: LeftOut) -> Ground:
    return ground.replacing(left_out.replaced.head) if left_out.replaced else ground


def _told(ground: Ground, left_out: LeftOut, rays: Rays) -> VirtualFeatures:
    """Return the virtual features to expect where rows, or texts, of classes are known."""
    replaced, D = left_out.replaced, ground.head.feature_size
    if replaced and replaced.texts_SA.shape[1] == D:
        every_S = torch.ones(len(left_out.known_S), dtype=torch.bool)
        return ground.features.knowing(replaced.texts_SA.cpu().float(), every_S)
    return ground.features.knowing(rays.directions_CD, left_out.known_S)


def simulate_shifted(
    ground: Ground, left_out: LeftOut, unseen: int, shifts: Sequence[float]
) -> list[Simulated]:
    """Play it on the pictures, once for each shift of the injected logits."""
    pictures, D = ground.pictures, ground.head.feature_size
    assert pictures is not None, "only real features tell how large a logit is"
    ground = _standing(ground, left_out)
    biases_S = None if ground.head.bias is None else ground.rows_SK[:, D]
    played = play(
        pictures,
        ground.rows_SK[:, :D],
        _rays(ground, left_out, biased=ground.head.bias is not None),
        ground.groups(left_out, unseen),
        biases_S=biases_S,
        shifts=shifts,
    )
    return [Simulated(one, pictures.counts(len(left_out.fold_S))) for one in played]


def _rays(ground: Ground, left_out: LeftOut, *, biased: bool = False) -> Rays:
    D, mean_K = ground.head.feature_size, ground.rows_SK.mean(dim=0)
    # Rows that keep their lengths are played at one length too: a unit vector that lies farther
    # from the others' mean has less of the mean feature, which virtual features do not have.
    point_K = origin_of(ground, left_out).point_K
    directions_SK = ground.distance * normalize(left_out.rows_SK - point_K)
    rays = Rays(mean_K[:D], directions_SK[:, :D], ground.head.metric == "cosine")
    if not biased:
        return rays
    return replace(rays, origin_bias=float(mean_K[D]), biases_C=directions_SK[:, D])


@dataclass(frozen=True, eq=False)
class Origin:
    """The point (K,) from which predicted rows have their directions, and their mean length.

    Rows regressed onto the seen ones are seen from the seen mean row, and all get one length, which
    undoes shrinkage and hubness: `length` is None. Rows of another origin keep their lengths, and
    so do those that were made together with the seen ones.
    """

    point_K: Tensor
    length: float | None = None

    def directions(self, rows_NK: Tensor) -> Tensor:
        """Return the directions (N, K) of rows, of length 1 each or on average."""
        offsets_NK = rows_NK - self.point_K
        return normalize(offsets_NK) if self.length is None else offsets_NK / self.length


def origin_of(ground: Ground, left_out: LeftOut) -> Origin:
    """Tell from the rows of hidden classes whether they are of another origin than the head's."""
    mean_K, known_NK = ground.rows_SK.mean(dim=0), left_out.rows_SK[left_out.known_S]
    predicted_K = known_NK.mean(dim=0)
    if left_out.replaced:
        before_K = regression_rows(left_out.replaced.head, "cpu").float().mean(dim=0)
        return Origin(mean_K, float((known_NK - before_K).norm(dim=1).mean()))
    # The mean of a few rows is far from that of all, whatever their origin.
    spread, count = float((known_NK - predicted_K).square().sum()), len(known_NK)
    by_chance = 2 * (spread / (count * (count - 1))) ** 0.5 if count > 1 else torch.inf
    off = float((predicted_K - mean_K).norm())
    if off <= max(FOREIGN_MEAN * ground.distance, by_chance):
        return Origin(mean_K)
    return Origin(predicted_K, float((known_NK - predicted_K).norm(dim=1).mean()))


def place(ground: Ground, raw: Head, origin: Origin, calibration: Calibration) -> Head:
    """Move rows to the calibrated distance from the seen mean row; directions stay."""
    head = ground.head
    rows_SK = regression_rows(head, "cpu")
    direction_UK = origin.directions(regression_rows(raw, "cpu"))
    distance = (rows_SK - rows_SK.mean(dim=0)).norm(dim=1).mean()
    rows_UK = rows_SK.mean(dim=0) + direction_UK * (calibration.scale * distance)
    if head.bias is not None and calibration.bias_shift:
        shift_K = torch.zeros(rows_UK.shape[1], dtype=rows_UK.dtype)
        shift_K[-1] = calibration.bias_shift
        rows_UK = rows_UK + shift_K
    return head.with_rows(restore_norms(rows_UK, head), raw.class_names)


def present_scale(ground: Ground, raw: Head, origin: Origin) -> float:
    """Return the scale at which rows stand as they come."""
    rows_UK = regression_rows(raw, "cpu").float()
    length = float((rows_UK - origin.point_K).norm(dim=1).mean())
    return length / ground.distance if ground.distance else 1.0


def choose_shift(
    ground: Ground, left_out: LeftOut, unseen: int, prefer: Prefer, seen_loss: float | None
) -> tuple[float, Simulated, int]:
    """Return the shift in logits, the play under it, and the number of the best scale there.

    Needs pictures. Shift 0 where another is not clearly better: it is less of a surprise.
    """
    unit = _logit_deviation(ground)
    played = simulate_shifted(ground, left_out, unseen, [step * unit for step in STEPS])
    scales = [one.choose(prefer, seen_loss) for one in played]
    values = [
        one.worth(at, prefer, seen_loss) - (NO_DIFFERENCE + FLATNESS * abs(step) if step else 0)
        for one, at, step in zip(played, scales, STEPS, strict=True)
    ]
    best = max(range(len(STEPS)), key=lambda number: values[number])
    return STEPS[best] * unit, played[best], scales[best]


def _logit_deviation(ground: Ground) -> float:
    assert ground.pictures is not None, "virtual features have no logits"
    D = ground.head.feature_size
    logits_NS = ground.pictures.scores(ground.rows_SK[:, :D])
    if ground.head.bias is not None:
        logits_NS += ground.rows_SK[:, D]
    return float(logits_NS.std(dim=1).mean())
