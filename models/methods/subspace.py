"""Subspace: a perceptron from class embeddings to rows, pulled towards the span of the seen rows.

Mean squared error over seen classes plus weight * mean ||t - Q Q^T t||, Q from the reduced QR of
the seen rows; it vanishes where the seen rows span everything (S >= K).

Differences from the specification: t are the unseen classes' predictions by default (ours);
`apply_to: targets` is the release, whose t lie in the span already, so the term only adds a
constant. Embeddings are centred by default. Learning rate, batch and the slope that counts as flat
are ours, for speed (chosen on hidden seen classes' rows alone); `faithful` sets the authors'.
"""

from types import MappingProxyType
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from headgraft.models.heads.head import Head
from headgraft.models.heads.rows import regression_rows, restore_norms
from headgraft.models.learners.row_mlp import MlpSettings, RowMlp, train
from headgraft.models.method import Method, training_seconds
from headgraft.models.progress import Progress
from headgraft.models.task import Task


class SubspaceSettings(MlpSettings):
    """The choices of the training."""

    PRESETS = MappingProxyType({("faithful", True): {"centre": False, "apply_to": "targets"}})

    weight: float = Field(1e-3, ge=0, le=1000, description="Weight of the pull to the span.")
    apply_to: Literal["predictions", "targets"] = Field(
        "predictions", description="What is pulled: unseen predictions (ours), or seen targets."
    )


def synthesize(
    task: Task, settings: SubspaceSettings, *, device: str | torch.device, progress: Progress
) -> Head:
    """Return one row per unseen class, in order: float32, on the CPU."""
    seen_SA, unseen_UA = task.normalised_embeddings(device, torch.float32, centre=settings.centre)
    rows_SK = regression_rows(task.head, device).float()
    basis_KR = torch.linalg.qr(rows_SK.T).Q

    def pull(network: RowMlp, target_BK: Tensor) -> Tensor:
        t_NK = network(unseen_UA) if settings.apply_to == "predictions" else target_BK
        outside_NK = t_NK - t_NK @ basis_KR @ basis_KR.T
        pulled: Tensor = settings.weight * outside_NK.norm(dim=1).mean()
        return pulled

    network = train(seen_SA, rows_SK, settings, progress, pull)
    with torch.no_grad():
        rows_UK = restore_norms(network(unseen_UA), task.head)
    return task.head.with_rows(rows_UK, task.unseen_class_names)


def expected_seconds(task: Task, settings: SubspaceSettings, device: str | torch.device) -> float:
    """Predict the seconds of a fit to the last epoch."""
    S, K = task.head.rows.shape
    sizes = task.class_embeddings_SA.shape[1] + K
    steps, multiply_adds, updates = settings.training_size(S, sizes)
    pulled = steps * len(task.unseen_class_names) * 2 * K * min(S, K)
    return training_seconds(multiply_adds + pulled, updates, device)


METHOD = Method(
    name="subspace",
    doc=__doc__,
    settings=SubspaceSettings,
    synthesize=synthesize,
    iterative=True,
    expected_seconds=expected_seconds,
)
