"""How likely it is that class information means anything, beside that of the seen classes.

A text encoder gives an embedding to any text, also to a word without a meaning. Where random
words were encoded, new classes are compared with them along the one direction that best tells them
from seen classes; all are compared by how far they lie from the seen classes.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from headgraft.models.embeddings.normalise import prepare
from headgraft.models.learners.kernel_ridge import KernelRidge
from headgraft.models.learners.logistic_curve import LogisticCurve
from headgraft.models.selection.calibrate import HeadContext
from headgraft.models.selection.leave_out import HeldOutPrediction
from headgraft.models.task import Task

# The kernel by which doubt is measured, whatever the method.
GAMMA, RIDGE = 2.0, 0.1
CLASSES_MIN = 20  # fewer seen classes do not show what is usual
SHUFFLED_MAX = 1000  # embeddings
FOLDS = 5  # a direction is judged on classes that it was not fitted on
DIRECTION_RIDGE = 1.0  # in mean variances of an embedding's numbers
PENALTY = 1.0
MEANINGLESS = 0.25  # how many classes mean nothing, for each one that means something
CHANCE_MIN = 0.02  # nothing is certain to mean nothing
AT_CHANCE = 0.5  # less likely to mean anything than this: recognised by chance alone

# A mean place among hidden rows that is no relation: so far above the middle, at least so many
# deviations. ImageNet's names with the packaged encoder have 0.91.
NO_RELATION, DEVIATIONS = 0.05, 3.0
RANDOM_FACTOR = 1.3


@dataclass(frozen=True, eq=False)
class Familiarity:
    """The chance `known_U` (U,) that each unseen class's embedding means anything.

    `doubt_S` (S,) and `doubt_U` (U,) tell how far each class lies from the seen classes, for a seen
    one from the others: 0 on one of them, 1 far away.
    """

    known_U: Tensor
    doubt_S: Tensor
    doubt_U: Tensor


def familiarity(task: Task) -> Familiarity:
    """Compare unseen classes with seen ones and with what means nothing; known if unclear."""
    seen_SA, unseen_UA = task.normalised_embeddings("cpu", torch.float32, centre=True)
    smoother = KernelRidge(seen_SA, GAMMA, RIDGE)
    doubt_S, doubt_U = smoother.doubt_left_out(), smoother.doubt(unseen_UA)
    if task.head.class_count < CLASSES_MIN:
        return Familiarity(torch.ones(len(unseen_UA)), doubt_S, doubt_U)
    random_NA = prepare(
        task.class_embeddings_SA.to("cpu", torch.float32), _meaningless(task), centre=True
    )[1]
    signs_SF, signs_NF, signs_UF = (
        torch.stack(pair, dim=1)
        for pair in zip(
            _along_direction(seen_SA, random_NA, unseen_UA),
            (doubt_S, smoother.doubt(random_NA), doubt_U),
            strict=True,
        )
    )
    known_M = torch.cat([torch.ones(len(signs_SF)), torch.zeros(len(signs_NF))])
    counts_M = torch.cat(
        [
            torch.ones(len(signs_SF)),
            torch.full((len(signs_NF),), MEANINGLESS * len(signs_SF) / len(signs_NF)),
        ]
    )
    curve = LogisticCurve.fit(torch.cat([signs_SF, signs_NF]), known_M, PENALTY, counts_M)
    # Where they cannot be told apart, none is worse than a seen class.
    usual = curve.predict(signs_SF).mean().clamp_min(AT_CHANCE)
    known_U = (curve.predict(signs_UF) / usual).clamp(CHANCE_MIN, 1.0)
    return Familiarity(known_U, doubt_S, doubt_U)


def _meaningless(task: Task) -> Tensor:
    """Return embeddings (N, A) that mean nothing: of random words, or else shuffled ones."""
    if task.meaningless_embeddings_NA is not None:
        return task.meaningless_embeddings_NA.to("cpu", torch.float32)
    seen_SA = task.class_embeddings_SA.to("cpu", torch.float32)
    generator = torch.Generator().manual_seed(0)
    numbers_NA = torch.randint(
        len(seen_SA), (min(len(seen_SA), SHUFFLED_MAX), seen_SA.shape[1]), generator=generator
    )
    return torch.gather(seen_SA, 0, numbers_NA)


def _along_direction(
    seen_SA: Tensor, random_NA: Tensor, unseen_UA: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return how far each is from the seen classes' mean (0) towards that of random words (1)."""
    along_S, along_N = torch.empty(len(seen_SA)), torch.empty(len(random_NA))
    along_U = torch.zeros(len(unseen_UA))
    folds = zip(_folds(len(seen_SA)), _folds(len(random_NA)), strict=True)
    for hidden_S, hidden_N in folds:
        mean_A = seen_SA[~hidden_S].mean(dim=0)
        offset_A = random_NA[~hidden_N].mean(dim=0) - mean_A
        within_MA = torch.cat(
            [seen_SA[~hidden_S] - mean_A, random_NA[~hidden_N] - mean_A - offset_A]
        )
        covariance_AA = within_MA.T @ within_MA / len(within_MA)
        covariance_AA.diagonal().add_(DIRECTION_RIDGE * covariance_AA.diagonal().mean())
        direction_A = torch.linalg.solve(covariance_AA, offset_A)
        direction_A = direction_A / (direction_A @ offset_A).clamp_min(1e-12)
        along_S[hidden_S] = (seen_SA[hidden_S] - mean_A) @ direction_A
        along_N[hidden_N] = (random_NA[hidden_N] - mean_A) @ direction_A
        along_U += (unseen_UA - mean_A) @ direction_A / FOLDS
    return along_S, along_N, along_U


def _folds(count: int) -> Iterator[Tensor]:
    for fold in range(FOLDS):
        yield torch.arange(count) % FOLDS == fold


def are_related(context: HeadContext, held_out: HeldOutPrediction) -> bool:
    """Tell whether rows predicted for hidden classes resemble their own rows more than others'.

    They are compared with rows that were hidden together alone: what a row was predicted from
    resembles it. True also where too few classes were hidden to tell.
    """
    rows_SK, predicted_SK = context.rows_SK, held_out.rows_SK
    places: list[Tensor] = []
    for fold in range(int(held_out.fold_S.max()) + 1):
        group = ((held_out.fold_S == fold) & held_out.known_S).nonzero()[:, 0]
        if len(group) < 2:
            continue
        own_GK, made_GK = (
            normalize(rows_NK[group] - rows_NK[group].mean(dim=0))
            for rows_NK in (rows_SK, predicted_SK)
        )
        cosine_GG = made_GK @ own_GK.T
        below_GG = cosine_GG < cosine_GG.diagonal()[:, None]
        places.append(below_GG.float().sum(dim=1) / (len(group) - 1))
    places_M = torch.cat(places) if places else torch.ones(0)
    if held_out.replaced or len(places_M) < CLASSES_MIN:
        return True
    by_chance = max(NO_RELATION, DEVIATIONS / math.sqrt(12 * len(places_M)))
    return float(places_M.mean()) > 0.5 + by_chance


def looks_untrained(context: HeadContext) -> bool:
    """Tell whether the head's rows vary as independent random numbers do.

    The largest eigenvalue of their covariance is then that of Marchenko and Pastur.
    """
    weight_SD = context.rows_SK[:, : context.head.feature_size]
    centred_SD = weight_SD - weight_SD.mean(dim=0)
    classes, features = centred_SD.shape
    mean = float(centred_SD.square().sum()) / (classes * features)
    largest = float(torch.linalg.matrix_norm(centred_SD, 2)) ** 2 / classes
    return largest <= RANDOM_FACTOR * mean * (1 + math.sqrt(features / classes)) ** 2
