"""Makes new rows as weighted sums of seen rows."""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import normalize

from headgraft.models.heads.head import Head
from headgraft.models.heads.rows import regression_rows, restore_norms
from headgraft.models.settings import MethodSettings
from headgraft.models.task import Task

Rescale = Literal["none", "seen", "release"]
RESCALE = (
    "Norms: as mixed (none), the seen rows' mean norm for each (seen), or one factor that makes "
    "their mean 0.1 (release)."
)


class MixSettings(MethodSettings):
    """The constants of the mix."""

    rescale: Rescale = Field("none", description=RESCALE)


def unit_embeddings(task: Task, device: str | torch.device) -> tuple[Tensor, Tensor]:
    """Return the seen (S, A) and unseen (U, A) class embeddings at unit length, in float64."""
    return task.normalised_embeddings(device, torch.float64, centre=False)


def mixed_head(task: Task, weights_US: Tensor, rescale: Rescale) -> Head:
    """Mix theta by the weights, one row per unseen class in order; bias is mixed like the rest.

    `rescale`: leave the rows as they are ("none"), give each the seen rows' mean norm ("seen"),
    or divide all by 10 times their own mean norm ("release"); [w ; b] together.
    """
    rows_SK = regression_rows(task.head, weights_US.device)
    rows_UK = weights_US @ rows_SK
    if rescale == "seen":
        rows_UK = normalize(rows_UK) * rows_SK.norm(dim=1).mean()
    elif rescale == "release":
        # Depends on the other requested classes, therefore off by default.
        mean_norm = rows_UK.norm(dim=1).mean().clamp_min(torch.finfo(rows_UK.dtype).tiny)
        rows_UK = rows_UK / (10 * mean_norm)
    return task.head.with_rows(restore_norms(rows_UK, task.head), task.unseen_class_names)
