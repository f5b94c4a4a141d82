"""Kernel ridge regression from class embeddings to rows, in closed form.

P_u = mean + k(a_u, a_S) (k(a_S, a_S) + l I)^-1 (theta_S - mean), k = exp(gamma (cos - 1)),
on centred unit embeddings; every injected row then stands at the same distance from the mean row.

Defaults: gamma 2 and scale 1.4, as measured (tests/benchmarks/LOG.md). For many classes the kernel
has its Nystroem form (models/learners/kernel_ridge.py).
For a cosine head the regression sees unit weights; injected ones get the seen mean norm.
"""

import torch
from pydantic import Field
from torch import Tensor

from headgraft.models.heads.head import Head
from headgraft.models.heads.rows import centre, equal_distance, regression_rows, restore_norms
from headgraft.models.learners.kernel_ridge import KernelRidge
from headgraft.models.method import Method
from headgraft.models.progress import Progress
from headgraft.models.settings import MethodSettings
from headgraft.models.task import Task

SINGLE_RIDGE_MIN = 1e-3


class RidgeSettings(MethodSettings):
    """The constants of the regression."""

    gamma: float = Field(
        default=2.0, gt=0, le=100, description="Sharpness of the kernel exp(gamma (cos - 1))."
    )
    ridge: float = Field(
        default=0.1,
        ge=1e-6,
        le=100,
        description="l, added to the kernel's diagonal: more is smoother.",
    )
    centre: bool = Field(
        default=True, description="Subtract the mean of the seen class embeddings first."
    )
    equal_distance: bool = Field(
        default=True, description="Put every injected row at the same distance from the mean row."
    )
    scale: float = Field(
        default=1.4,
        gt=0,
        le=100,
        description="That distance, as a multiple of the seen rows' mean distance (without "
        "equal_distance: a factor on the predicted distance). More favours unseen classes.",
    )


def synthesize(
    task: Task, settings: RidgeSettings, *, device: str | torch.device, progress: Progress
) -> Head:
    """Return one row per unseen class, in order: float32, on the CPU."""
    progress(0.0, "kernel")
    seen_SA, unseen_UA = task.normalised_embeddings(device, torch.float64, centre=settings.centre)
    rows_SK = regression_rows(task.head, device)
    progress(0.2, "solving")
    rows_UK = KernelRidge(seen_SA, settings.gamma, settings.ridge).predict(unseen_UA, rows_SK)
    progress(0.9, "scaling")
    rows_UK = _rescale(rows_UK, rows_SK, settings, task.head)
    return task.head.with_rows(restore_norms(rows_UK, task.head), task.unseen_class_names)


def leave_out(
    task: Task, settings: RidgeSettings, fold_S: Tensor, *, device: str | torch.device
) -> Tensor:
    """Predict each seen class's row (S, K) from the other folds' alone: float32, not rescaled.

    The embeddings' mean alone still knows the hidden classes.
    """
    seen_SA, _ = task.normalised_embeddings(device, torch.float64, centre=settings.centre)
    # Single precision: these rows are compared with true ones, never delivered.
    smoother = KernelRidge(seen_SA.float(), settings.gamma, max(settings.ridge, SINGLE_RIDGE_MIN))
    return smoother.leave_out(regression_rows(task.head, device).float(), fold_S.to(device)).cpu()


def _rescale(rows_UK: Tensor, rows_SK: Tensor, settings: RidgeSettings, head: Head) -> Tensor:
    if settings.equal_distance:
        return equal_distance(rows_UK, rows_SK, settings.scale, head)
    mean_K, _ = centre(rows_SK, head)
    return mean_K + settings.scale * (rows_UK - mean_K)


METHOD = Method(
    name="ridge",
    doc=__doc__,
    settings=RidgeSettings,
    synthesize=synthesize,
    candidate=True,
    # What a search tries, the most trusted first: features drawn from rows flatter sharp kernels.
    tunable={"gamma": (1.0, 2.0, 4.0, 8.0), "ridge": (0.1, 0.3, 0.03)},
    leave_out=leave_out,
)
