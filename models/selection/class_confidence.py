"""What to expect of each new class: a confidence, its relatives, and advice where it is low.

Hidden seen classes tell which signs go with being recognised.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from headgraft.models.heads.head import Head
from headgraft.models.heads.rows import regression_rows
from headgraft.models.learners.kernel_ridge import KernelRidge
from headgraft.models.selection.calibrate import HeadContext
from headgraft.models.selection.leave_out import HeldOutPrediction
from headgraft.models.task import Task

NEAREST = 5
# The kernel by which doubt is measured, whatever the method.
GAMMA, RIDGE = 2.0, 0.1
SMOOTHING = 20.0  # penalty on a sign's weight, in classes
STEPS = 25
SAME = 0.995  # cosine of two class embeddings that cannot be told apart
FAR_QUANTILE = 0.02  # of the seen classes' own nearest relatives
LOW = 0.5  # warn below this share of the mean confidence of seen classes
MIN_CLASSES = 20

DESCRIBE = "Add a one-line description that says what kind of thing it is and how it looks."
TELL_APART = "Name the two apart, or describe in one line what distinguishes them."


@dataclass(frozen=True)
class ClassConfidence:
    """One new class: confidence in [0, 1] is the chance that a picture of it is recognised."""

    name: str
    confidence: float
    nearest: tuple[tuple[str, float], ...]
    warning: str | None
    advice: str | None


def class_confidences(
    task: Task, context: HeadContext, held_out: HeldOutPrediction, hits_S: Tensor, unseen: Head
) -> tuple[ClassConfidence, ...]:
    """Return the confidence of every unseen class, in order.

    `hits_S` is the share of each hidden seen class's features that were recognised (NaN: of no
    other); `unseen` holds the final rows.
    """
    seen_SA, unseen_UA = task.normalised_embeddings("cpu", torch.float32, centre=True)
    smoother = KernelRidge(seen_SA, GAMMA, RIDGE)
    hidden = (~hits_S.isnan()).nonzero()[:, 0]
    seen_SD = _directions(context, context.rows_SK)
    signs_UF = _signs(_directions(context, regression_rows(unseen, "cpu").float()), seen_SD)
    signs_UF = torch.cat([signs_UF, smoother.doubt(unseen_UA)[:, None]], dim=1)
    confidence_U = torch.full((len(unseen_UA),), float(hits_S[hidden].mean()))
    if len(hidden) >= MIN_CLASSES:
        signs_HF = _hidden_signs(context, held_out, len(unseen_UA), hidden)
        signs_HF = torch.cat([signs_HF, smoother.doubt_left_out()[hidden, None]], dim=1)
        confidence_U = _regress(signs_HF, hits_S[hidden], signs_UF)
    return _describe(task, (seen_SA, unseen_UA), confidence_U, float(hits_S[hidden].mean()))


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


def _regress(signs_HF: Tensor, hits_H: Tensor, signs_UF: Tensor) -> Tensor:
    """Fit a logistic curve over standardised signs by Newton's method; predict (U,)."""
    mean_F, deviation_F = signs_HF.mean(dim=0), signs_HF.std(dim=0).clamp_min(1e-6)
    inputs_HF = _with_one((signs_HF - mean_F) / deviation_F)
    weight_F = torch.zeros(inputs_HF.shape[1])
    penalty_FF = torch.diag(torch.tensor([*[SMOOTHING] * (len(weight_F) - 1), 1e-3]))
    for _ in range(STEPS):
        chance_H = torch.sigmoid(inputs_HF @ weight_F)
        slope_F = inputs_HF.T @ (hits_H - chance_H) - penalty_FF @ weight_F
        curve_H = (chance_H * (1 - chance_H)).clamp_min(1e-3)
        weight_F = weight_F + torch.linalg.solve(
            (inputs_HF * curve_H[:, None]).T @ inputs_HF + penalty_FF, slope_F
        )
    # A sign beyond its range in the hidden classes is taken at the end of that range.
    standard_UF = ((signs_UF - mean_F) / deviation_F).clamp(-3, 3)
    return torch.sigmoid(_with_one(standard_UF) @ weight_F)


def _with_one(inputs_NF: Tensor) -> Tensor:
    return torch.cat([inputs_NF, torch.ones(len(inputs_NF), 1)], dim=1)


def _describe(
    task: Task, points: tuple[Tensor, Tensor], confidence_U: Tensor, usual: float
) -> tuple[ClassConfidence, ...]:
    seen_SA, unseen_UA = points
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
        confidence, twin = float(confidence_U[index]), int(fellow_UU[index].argmax())
        if nearest[0][1] > SAME:
            warning, advice = f"hard to tell from the old class {nearest[0][0]!r}", TELL_APART
        elif float(fellow_UU[index, twin]) > SAME:
            other = task.unseen_class_names[twin]
            warning, advice = f"hard to tell from the new class {other!r}", TELL_APART
        elif nearest[0][1] < far:
            warning, advice = "nothing related is known", DESCRIBE
        elif confidence < LOW * usual:
            warning, advice = "its name is ambiguous, or its relatives disagree", DESCRIBE
        else:
            outlooks.append(ClassConfidence(name, confidence, nearest, None, None))
            continue
        outlooks.append(ClassConfidence(name, confidence, nearest, warning, advice))
    return tuple(outlooks)


def _far(seen_SA: Tensor) -> float:
    """Return the cosine below which a nearest relative is farther than nearly all seen ones."""
    few_NA = seen_SA[:2000]
    nearest_N = (few_NA @ few_NA.T).fill_diagonal_(-1).amax(dim=1)
    return float(nearest_N.quantile(FAR_QUANTILE))
