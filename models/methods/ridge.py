"""Kernel ridge regression from class embeddings to rows, in closed form.

P_u = mean + k(a_u, a_S) (k(a_S, a_S) + l I)^-1 (theta_S - mean), k = exp(gamma (cos - 1)),
on centred unit embeddings; every injected row then stands at the same distance from the mean row.

Differences from the specification: gamma 2 and scale 1.4 where it measured 0.5 and 1.3 (see
tests/benchmarks/LOG.md). For a cosine head the regression sees unit weights, and the injected
weights get the seen weights' mean norm.
"""

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from models.calibration import equal_distance, regression_rows, restore_norms
from models.head import Head
from models.progress import Progress
from models.task import Task
from models.vectors import prepare

NEEDS: frozenset[str] = frozenset()


class Settings(BaseModel):
    """The constants of the regression."""

    model_config = ConfigDict(extra="forbid", frozen=True)

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
    task: Task, settings: Settings, *, device: str | torch.device, progress: Progress
) -> Head:
    """Return one row per unseen class, in order: float32, on the CPU."""
    progress(0.0, "kernel")
    seen_SA, unseen_UA = prepare(
        task.class_embeddings_SA.to(device, torch.float64),
        task.unseen_class_embeddings_UA.to(device, torch.float64),
        centre=settings.centre,
    )
    rows_SK = regression_rows(task.head, device)
    progress(0.2, "solving")
    rows_UK = _predict(seen_SA, unseen_UA, rows_SK, settings)
    progress(0.9, "scaling")
    rows_UK = _rescale(rows_UK, rows_SK, settings)
    return task.head.with_rows(restore_norms(rows_UK, task.head), task.unseen_class_names)


def _predict(seen_SA: Tensor, unseen_UA: Tensor, rows_SK: Tensor, settings: Settings) -> Tensor:
    mean_K = rows_SK.mean(dim=0)
    gram_SS = _kernel(seen_SA, seen_SA, settings.gamma)
    gram_SS.diagonal().add_(settings.ridge)
    dual_SK = torch.cholesky_solve(rows_SK - mean_K, torch.linalg.cholesky(gram_SS))
    return mean_K + _kernel(unseen_UA, seen_SA, settings.gamma) @ dual_SK


def _kernel(left: Tensor, right: Tensor, gamma: float) -> Tensor:
    return torch.exp(gamma * (left @ right.T - 1))


def _rescale(rows_UK: Tensor, rows_SK: Tensor, settings: Settings) -> Tensor:
    if settings.equal_distance:
        return equal_distance(rows_UK, rows_SK, settings.scale)
    mean_K = rows_SK.mean(dim=0)
    return mean_K + settings.scale * (rows_UK - mean_K)
