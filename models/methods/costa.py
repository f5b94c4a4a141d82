"""COSTA: a new row is the seen rows' average, weighted by the embeddings' dot products.

theta_u = sum_s c_us theta_s, c_us = a_u . a_s / (sum over s' of a_u . a_s' + guard).

Differences from the specification: a negative dot product counts as 0, and a class without any
positive one gets the mean row (the specification only asks for a guard). `rescale` is the
paper's for other baselines; off here, since an average already has a row's magnitude.
The average of many rows is near their mean: uncalibrated, new classes hardly ever win.
"""

import torch
from pydantic import Field

from headgraft.models.heads.head import Head
from headgraft.models.learners.mixing import MixSettings, mixed_head, unit_embeddings
from headgraft.models.method import Method
from headgraft.models.progress import Progress
from headgraft.models.task import Task


class CostaSettings(MixSettings):
    """The constants of the average."""

    guard: float = Field(1e-4, gt=0, le=1, description="Added to the sum that divides.")


def synthesize(
    task: Task, settings: CostaSettings, *, device: str | torch.device, progress: Progress
) -> Head:
    """Return one row per unseen class, in order: float32, on the CPU."""
    progress(0.0, "mixing")
    seen_SA, unseen_UA = unit_embeddings(task, device)
    dots_US = (unseen_UA @ seen_SA.T).clamp_min(0)
    sums_U1 = dots_US.sum(dim=1, keepdim=True)
    weights_US = torch.where(sums_U1 > 0, dots_US / (sums_U1 + settings.guard), 1 / len(seen_SA))
    head = mixed_head(task, weights_US, settings.rescale)
    progress(0.9, "mixing")
    return head


METHOD = Method(
    name="costa",
    doc=__doc__,
    settings=CostaSettings,
    synthesize=synthesize,
    # A smoother with one bandwidth at most: what hides seen classes never preferred it to ridge.
    candidate=False,
)
