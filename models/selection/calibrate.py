"""Places injected rows at the scale that `Simulation.choose` chose, and chooses a bias for them.

Both rest on the rows that hidden seen classes would have got.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import normalize

from headgraft.models.features.guesses import crowded, guessed_features
from headgraft.models.features.labelled import CalibrationFeatures, UnlabelledFeatures
from headgraft.models.heads.head import Head
from headgraft.models.heads.rows import centre, regression_rows, restore_norms
from headgraft.models.selection.estimate import FLATNESS, Prefer, Simulation
from headgraft.models.selection.leave_out import HeldOutPrediction
from headgraft.models.selection.trade_off import ScaledRows, join, make_groups, simulate_injection
from headgraft.models.synthesis.simulated_features import SimulatedFeatures, simulate_features

# Predicted rows whose mean lies farther from the seen rows' mean than this share of the seen rows'
# mean distance from it, such as text vectors, are centred on their own mean.
FOREIGN_MEAN = 0.5
# How much more features vary along predicted rows in the second feature model, in mean eigenvalues.
EMPHASIS = 0.25
# Of the objective: what a thousand pictures cannot tell apart.
NO_DIFFERENCE = 0.01
# In deviations of a picture's logits over the seen classes.
STEPS = (0.0, 0.5, -0.5, 1.0, -1.0, 1.5, 2.0, 2.5, 3.0, 4.0)


@dataclass(frozen=True, eq=False)
class HeadContext:
    """A head as calibration sees it: rows theta (S, K), and features simulated from them.

    `accuracy` is the head's own, where known; `features` are labelled ones that the user gave, and
    `guessed` the same with those whose labels the head guessed.
    """

    head: Head
    rows_SK: Tensor
    simulated: SimulatedFeatures
    accuracy: float | None = None
    features: CalibrationFeatures | None = None
    guessed: CalibrationFeatures | None = None

    def replacing(self, head: Head) -> "HeadContext":
        """Return a copy with another head over the same classes."""
        return replace(self, head=head, rows_SK=regression_rows(head, "cpu").float())

    @property
    def distance(self) -> float:
        """The trained rows' mean distance from their mean row."""
        return float(centre(self.rows_SK, self.head)[1])

    def enough_features(self, known_S: Tensor) -> CalibrationFeatures | None:
        """Return real features where they suffice for the classes that can be hidden.

        Labelled ones where they are enough, else those that the head labelled itself with them.
        """
        for given in (self.features, self.guessed):
            if given is not None and given.suffice(known_S) and not crowded(given):
                return given
        return None

    def groups(self, held_out: HeldOutPrediction, unseen: int) -> list[Tensor]:
        """Choose the groups of hidden classes, numbers (G,), that stand for the `unseen` ones.

        Each has a class of which there is a feature: of a large head, most classes have none.
        """
        features = self.enough_features(held_out.known_S)
        labels_N = (features or self.simulated).labels_N
        shown_S = torch.bincount(labels_N, minlength=len(held_out.fold_S)) > 0
        if features is None:
            groups = make_groups(held_out.fold_S, held_out.known_S, unseen)
            if all(shown_S[group].any() for group in groups):
                return groups
        return make_groups(held_out.fold_S, held_out.known_S, unseen, shown_S=shown_S)


@dataclass(frozen=True)
class Calibration:
    """How far rows were placed from the seen rows' mean row.

    `scale` is that distance as a multiple of the seen rows' mean distance: every row's with
    `equal_distance`, else the rows' mean. `bias_shift` is added to the bias of every injected row,
    in logits.
    """

    scale: float
    equal_distance: bool = True
    bias_shift: float = 0.0


def build_context(
    head: Head,
    accuracy: float | None,
    features: CalibrationFeatures | None = None,
    unlabelled: UnlabelledFeatures | None = None,
) -> HeadContext:
    """Simulate features of a head whose own accuracy is known, or not (None)."""
    rows_SK = regression_rows(head, "cpu").float()
    simulated = simulate_features(rows_SK[:, : head.feature_size], accuracy)
    guessed = None if unlabelled is None else guessed_features(head, unlabelled, accuracy)
    if guessed is not None and features is not None:
        guessed = features.joined(guessed)
    return HeadContext(head, rows_SK, simulated, accuracy, features, guessed)


def simulate(
    context: HeadContext, held_out: HeldOutPrediction, unseen: int, *, careful: bool = False
) -> Simulation:
    """Simulate the injection of `unseen` classes with hidden seen ones, at all scales.

    On real features where they suffice, on simulated ones else; `careful`: on those of a second
    feature model, too.
    """
    if context.enough_features(held_out.known_S):
        return simulate_shifted(context, held_out, unseen, (0.0,))[0]
    context = _with_delivered_head(context, held_out)
    scaled_rows, groups = _scaled_rows(context, held_out), context.groups(held_out, unseen)
    weight_SD = context.rows_SK[:, : context.head.feature_size]
    regressed = centring_of(context, held_out).length is None
    contexts = [context]
    if careful and regressed:
        contexts.append(_emphasising(context, held_out))
    models = tuple(
        simulate_injection(
            _expected_features(model, held_out, scaled_rows), weight_SD, scaled_rows, groups
        )[0]
        for model in contexts
    )
    return Simulation(
        join(models),
        accuracy=context.simulated.wanted_accuracy,
        known=context.accuracy is not None,
        models=models,
        longest=regressed,
    )


def _emphasising(context: HeadContext, held_out: HeldOutPrediction) -> HeadContext:
    """Return the head with features that vary more along the rows that were predicted."""
    D = context.head.feature_size
    weight_SD = context.rows_SK[:, :D]
    predicted_MD = held_out.rows_SK[held_out.known_S, :D] - weight_SD.mean(dim=0)
    simulated = simulate_features(
        weight_SD, context.accuracy, predicted_MD=predicted_MD, emphasis=EMPHASIS
    )
    return replace(context, simulated=simulated)


def _with_delivered_head(context: HeadContext, held_out: HeldOutPrediction) -> HeadContext:
    return context.replacing(held_out.replaced.head) if held_out.replaced else context


def _expected_features(
    context: HeadContext, held_out: HeldOutPrediction, scaled_rows: ScaledRows
) -> SimulatedFeatures:
    """Return the simulated features to expect where rows, or texts, of classes are known."""
    replaced, D = held_out.replaced, context.head.feature_size
    if replaced and replaced.embeddings_SA.shape[1] == D:
        every_S = torch.ones(len(held_out.known_S), dtype=torch.bool)
        return context.simulated.knowing(replaced.embeddings_SA.cpu().float(), every_S)
    return context.simulated.knowing(scaled_rows.directions_CD, held_out.known_S)


def simulate_shifted(
    context: HeadContext, held_out: HeldOutPrediction, unseen: int, shifts: Sequence[float]
) -> list[Simulation]:
    """Simulate it on real features, once for each shift of the injected logits."""
    features, D = context.enough_features(held_out.known_S), context.head.feature_size
    assert features is not None, "only real features tell how large a logit is"
    context = _with_delivered_head(context, held_out)
    biases_S = None if context.head.bias is None else context.rows_SK[:, D]
    trade_offs = simulate_injection(
        features,
        context.rows_SK[:, :D],
        _scaled_rows(context, held_out, biased=context.head.bias is not None),
        context.groups(held_out, unseen),
        biases_S=biases_S,
        shifts=shifts,
    )
    counts_S = features.counts(len(held_out.fold_S))
    return [
        Simulation(
            trade_off,
            counts_S,
            features.source,
            features.head_accuracy,
            features.source == "labelled" or context.accuracy is not None,
        )
        for trade_off in trade_offs
    ]


def _scaled_rows(
    context: HeadContext, held_out: HeldOutPrediction, *, biased: bool = False
) -> ScaledRows:
    D, (mean_K, _) = context.head.feature_size, centre(context.rows_SK, context.head)
    # Simulated features lack the mean feature, so that lengths cannot be compared on them: rows
    # that will keep their lengths are simulated at one length, too.
    point_K = centring_of(context, held_out).point_K
    directions_SK = context.distance * normalize(held_out.rows_SK - point_K)
    scaled_rows = ScaledRows(mean_K[:D], directions_SK[:, :D], context.head.metric == "cosine")
    if not biased:
        return scaled_rows
    return replace(scaled_rows, centre_bias=float(mean_K[D]), biases_C=directions_SK[:, D])


@dataclass(frozen=True, eq=False)
class Centring:
    """The point (K,) from which predicted rows have their directions, and their mean length.

    Rows of a regression onto the seen rows are centred on the seen mean row, and all get one length
    (`length` is None): a regression makes rows of uncertain classes too short, so that few classes
    would get most of the pictures. Rows of another origin keep their lengths, and so do those that
    were made together with the seen ones.
    """

    point_K: Tensor
    length: float | None = None

    def directions(self, rows_NK: Tensor) -> Tensor:
        """Return the directions (N, K) of rows, of length 1 each or on average."""
        offsets_NK = rows_NK - self.point_K
        return normalize(offsets_NK) if self.length is None else offsets_NK / self.length


def centring_of(context: HeadContext, held_out: HeldOutPrediction) -> Centring:
    """Tell from the rows of hidden classes whether they are of another origin than the head's."""
    mean_K, _ = centre(context.rows_SK, context.head)
    known_NK = held_out.rows_SK[held_out.known_S]
    predicted_K = known_NK.mean(dim=0)
    if held_out.replaced:
        before_K = regression_rows(held_out.replaced.head, "cpu").float().mean(dim=0)
        return Centring(mean_K, float((known_NK - before_K).norm(dim=1).mean()))
    # The mean of a few rows is far from that of all, whatever their origin.
    spread, count = float((known_NK - predicted_K).square().sum()), len(known_NK)
    by_chance = 2 * (spread / (count * (count - 1))) ** 0.5 if count > 1 else torch.inf
    off = float((predicted_K - mean_K).norm())
    if off <= max(FOREIGN_MEAN * context.distance, by_chance):
        return Centring(mean_K)
    return Centring(predicted_K, float((known_NK - predicted_K).norm(dim=1).mean()))


def place(context: HeadContext, raw: Head, centring: Centring, calibration: Calibration) -> Head:
    """Move rows to the calibrated distance from the seen mean row; directions stay."""
    head = context.head
    rows_SK = regression_rows(head, "cpu")
    direction_UK = centring.directions(regression_rows(raw, "cpu"))
    mean_K, distance = centre(rows_SK, head)
    rows_UK = mean_K + direction_UK * (calibration.scale * distance)
    if head.bias is not None and calibration.bias_shift:
        shift_K = torch.zeros(rows_UK.shape[1], dtype=rows_UK.dtype)
        shift_K[-1] = calibration.bias_shift
        rows_UK = rows_UK + shift_K
    return head.with_rows(restore_norms(rows_UK, head), raw.class_names)


def present_scale(context: HeadContext, raw: Head, centring: Centring) -> float:
    """Return the scale at which rows stand as they come."""
    rows_UK = regression_rows(raw, "cpu").float()
    length = float((rows_UK - centring.point_K).norm(dim=1).mean())
    return length / context.distance if context.distance else 1.0


def choose_shift(
    context: HeadContext,
    held_out: HeldOutPrediction,
    unseen: int,
    prefer: Prefer,
    seen_loss: float | None,
) -> tuple[float, Simulation, int]:
    """Return the shift in logits, the simulation under it, and the index of the best scale there.

    Needs real features. Shift 0 unless another is clearly better.
    """
    features = context.enough_features(held_out.known_S)
    assert features is not None, "simulated features have no logits"
    unit = _logit_deviation(context, features)
    shifts = [step * unit for step in STEPS]
    simulations = simulate_shifted(context, held_out, unseen, shifts)
    scales = [simulation.choose(prefer, seen_loss) for simulation in simulations]
    values = [
        simulation.worth(at, prefer, seen_loss)
        - (NO_DIFFERENCE + FLATNESS * abs(step) if step else 0)
        for simulation, at, step in zip(simulations, scales, STEPS, strict=True)
    ]
    best = max(range(len(STEPS)), key=lambda number: values[number])
    return shifts[best], simulations[best], scales[best]


def _logit_deviation(context: HeadContext, features: CalibrationFeatures) -> float:
    D = context.head.feature_size
    logits_NS = features.scores(context.rows_SK[:, :D])
    if context.head.bias is not None:
        logits_NS += context.rows_SK[:, D]
    return float(logits_NS.std(dim=1).mean())
