"""What to expect of each new class: a confidence, its relatives, and advice where it is low.

Hidden seen classes tell which signs go with being recognised.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import exp, log
from statistics import fmean

import torch
from torch import Tensor
from torch.nn.functional import normalize

from headgraft.models.heads.head import Head
from headgraft.models.heads.rows import regression_rows
from headgraft.models.learners.logistic_curve import LogisticCurve
from headgraft.models.metrics import harmonic_mean
from headgraft.models.selection.calibrate import HeadContext
from headgraft.models.selection.estimate import AccuracyInterval, HeadEstimate
from headgraft.models.selection.known_classes import AT_CHANCE, Familiarity
from headgraft.models.selection.leave_out import HeldOutPrediction
from headgraft.models.task import Task

NEAREST = 5
PENALTY = 20.0  # on a sign's weight, in classes
SAME = 0.995  # cosine of two class embeddings that cannot be told apart
FAR_QUANTILE = 0.02  # of the seen classes' own nearest relatives
LOW = 0.5  # warn below this share of the mean confidence of seen classes
MIN_CLASSES = 20
NORMAL_90 = 1.645
CLEAR = 0.9  # a class that is less likely to be known widens the interval
TINY = 1e-3  # no accuracy is taken to be nearer to 0 or 1

DESCRIBE = "Add a one-line description that says what kind of thing it is and how it looks."
TELL_APART = "Name the two apart, or describe in one line what distinguishes them."


@dataclass(frozen=True)
class ClassConfidence:
    """One new class: confidence in [0, 1] is the chance that a picture of it is recognised.

    `at_chance` where its class information relates to nothing known. `if_known` is the confidence
    it would have otherwise, and `chance_known` how likely that is.
    """

    name: str
    confidence: float
    nearest: tuple[tuple[str, float], ...]
    warning: str | None
    advice: str | None
    at_chance: bool = False
    if_known: float = 1.0
    chance_known: float = 1.0


def class_confidences(
    task: Task,
    context: HeadContext,
    held_out: HeldOutPrediction,
    hits_S: Tensor,
    unseen: Head,
    familiar: Familiarity,
    usual_u: float,
) -> tuple[ClassConfidence, ...]:
    """Return the confidence of every unseen class, in order.

    `hits_S` is the share of each hidden seen class's features that were recognised (NaN: of no
    other); `unseen` holds the final rows. `usual_u` is the accuracy to expect of new classes that
    are like the hidden ones.
    """
    seen_SA, unseen_UA = task.normalised_embeddings("cpu", torch.float32, centre=True)
    hidden = (~hits_S.isnan()).nonzero()[:, 0]
    seen_SD = _directions(context, context.rows_SK)
    signs_UF = _signs(_directions(context, regression_rows(unseen, "cpu").float()), seen_SD)
    signs_UF = torch.cat([signs_UF, familiar.doubt_U[:, None]], dim=1)
    if_known_U = torch.full((len(unseen_UA),), usual_u)
    if len(hidden) >= MIN_CLASSES:
        signs_HF = _hidden_signs(context, held_out, len(unseen_UA), hidden)
        signs_HF = torch.cat([signs_HF, familiar.doubt_S[hidden, None]], dim=1)
        curve = LogisticCurve.fit(signs_HF, hits_S[hidden], PENALTY)
        by = _log_odds(usual_u) - _log_odds(float(hits_S[hidden].mean()))
        if_known_U = curve.predict(signs_UF, by)
    chances = (if_known_U, familiar.known_U)
    return _describe(task, (seen_SA, unseen_UA), chances, usual_u)


def _directions(context: HeadContext, rows_CK: Tensor) -> Tensor:
    D = context.head.feature_size
    return normalize((rows_CK - context.rows_SK.mean(dim=0))[:, :D])


def _signs(new_UD: Tensor, seen_SD: Tensor, hidden: Tensor | None = None) -> Tensor:
    """Return the cosines of each new row with its nearest seen row and its nearest fellow (U, 2).

    Seen rows that are `hidden` are left out.
    """
    cosine_US = new_UD @ seen_SD.T
    if hidden is not None:
        cosine_US[:, hidden] = 0
    fellow_UU = (new_UD @ new_UD.T).fill_diagonal_(-1)
    return torch.stack([cosine_US.amax(dim=1), fellow_UU.amax(dim=1)], dim=1)


def _hidden_signs(
    context: HeadContext, held_out: HeldOutPrediction, unseen: int, hidden: Tensor
) -> Tensor:
    seen_SD, predicted_SD = (
        _directions(context, rows_SK) for rows_SK in (context.rows_SK, held_out.rows_SK)
    )
    signs_SF = torch.zeros(len(seen_SD), 2)
    for group in context.groups(held_out, unseen):
        signs_SF[group] = _signs(predicted_SD[group], seen_SD, group)
    return signs_SF[hidden]


def _describe(
    task: Task, points: tuple[Tensor, Tensor], chances: tuple[Tensor, Tensor], usual: float
) -> tuple[ClassConfidence, ...]:
    (seen_SA, unseen_UA), (if_known_U, known_U) = points, chances
    at_random = 1 / (len(seen_SA) + len(unseen_UA))
    cosine_US = unseen_UA @ seen_SA.T
    fellow_UU = (unseen_UA @ unseen_UA.T).fill_diagonal_(-1)
    far = _far(seen_SA)
    best = cosine_US.topk(min(NEAREST, len(seen_SA)), dim=1)
    outlooks = []
    for index, name in enumerate(task.unseen_class_names):
        nearest = tuple(
            (task.head.class_names[seen], cosine)
            for seen, cosine in zip(
                best.indices[index].tolist(), best.values[index].tolist(), strict=True
            )
        )
        if_known, known = float(if_known_U[index]), float(known_U[index])
        confidence = known * if_known + (1 - known) * at_random
        is_at_chance, twin = known < AT_CHANCE, int(fellow_UU[index].argmax())
        warning: str | None = None
        advice: str | None = None
        if nearest[0][1] > SAME:
            warning, advice = f"hard to tell from the old class {nearest[0][0]!r}", TELL_APART
        elif float(fellow_UU[index, twin]) > SAME:
            other = task.unseen_class_names[twin]
            warning, advice = f"hard to tell from the new class {other!r}", TELL_APART
        elif is_at_chance or nearest[0][1] < far:
            warning, advice = "nothing related is known", DESCRIBE
        elif confidence < LOW * usual:
            warning, advice = "its name is ambiguous, or its relatives disagree", DESCRIBE
        outlooks.append(
            ClassConfidence(
                name, confidence, nearest, warning, advice, is_at_chance, if_known, known
            )
        )
    return tuple(outlooks)


def _far(seen_SA: Tensor) -> float:
    """Return the cosine below which a nearest relative is farther than nearly all seen ones."""
    few_NA = seen_SA[:2000]
    nearest_N = (few_NA @ few_NA.T).fill_diagonal_(-1).amax(dim=1)
    return float(nearest_N.quantile(FAR_QUANTILE))


def estimate_of(classes: Sequence[ClassConfidence], usual: HeadEstimate) -> HeadEstimate:
    """Return the estimate of these new classes, from the `usual` one of any as many.

    Their u is the mean of their confidences. A class that is hardly known widens its interval: it
    is recognised as often as others, or never.
    """
    if not classes:
        return usual
    u = fmean(one.confidence for one in classes)
    if_known = fmean(one.if_known for one in classes)
    known = min(1.0, u / max(if_known, TINY))
    unclear = [one for one in classes if one.chance_known < CLEAR]
    doubt = sum(
        one.if_known * (one.chance_known * (1 - one.chance_known)) ** 0.5 for one in unclear
    ) / len(classes)
    translated = moved(usual.u, if_known)
    interval_u = AccuracyInterval(
        u,
        max(0.0, min(u, known * translated.low - NORMAL_90 * doubt)),
        min(1.0, max(u, known * translated.high + NORMAL_90 * doubt)),
    )
    T1 = usual.T1
    if len(classes) > 1:
        chance = 1 / len(classes)
        by_chance = (1 - known) * NORMAL_90 * (chance * (1 - chance) / len(classes)) ** 0.5
        value, low, high = (chance + known * (end - chance) for end in (T1.value, T1.low, T1.high))
        T1 = AccuracyInterval(value, max(0.0, low - by_chance), min(1.0, high + by_chance))
    s = usual.s
    H = moved(usual.H, harmonic_mean(u, s.value))
    H = AccuracyInterval(
        H.value,
        max(H.low, harmonic_mean(interval_u.low, s.low)),
        min(H.high, harmonic_mean(interval_u.high, s.high)),
    )
    return replace(usual, T1=T1, u=interval_u, H=H)


def moved(interval: AccuracyInterval, value: float) -> AccuracyInterval:
    """Move an interval to another value, both ends as far in log odds."""
    low, high = (shifted(end, interval.value, value) for end in (interval.low, interval.high))
    return AccuracyInterval(value, min(low, value), max(high, value))


def shifted(share: float, old: float, new: float) -> float:
    """Move a share in [0, 1] as far in log odds as `new` is from `old`; 0 and 1 stay."""
    if share in (0.0, 1.0):
        return share
    return 1 / (1 + exp(-_log_odds(share) - _log_odds(new) + _log_odds(old)))


def _log_odds(share: float) -> float:
    bounded = min(max(share, TINY), 1 - TINY)
    return log(bounded / (1 - bounded))
