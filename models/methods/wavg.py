"""WAvg: a new row is a sum of all seen rows, weighted by exp(-5 distance of the embeddings).

theta_u = sum_s exp(-sharpness ||a_u - a_s||) theta_s, not normalised, on unit embeddings.

Differs from the paper: `rescale` gives each row the seen rows' mean norm by default,
because a sum of hundreds of rows has no magnitude of its own; `release` is the authors'
(divided by 10 times their mean norm, [w ; b] together), `none` the plain sum.
"""

import torch
from pydantic import Field

from headgraft.models.heads.head import Head
from headgraft.models.learners.mixing import (
    RESCALE,
    MixSettings,
    Rescale,
    mixed_head,
    unit_embeddings,
)
from headgraft.models.method import Method
from headgraft.models.progress import Progress
from headgraft.models.task import Task


class WavgSettings(MixSettings):
    """The constants of the sum."""

    sharpness: float = Field(
        5.0, gt=0, le=100, description="How fast a seen class's weight falls with its distance."
    )
    rescale: Rescale = Field("seen", description=RESCALE)


def synthesize(
    task: Task, settings: WavgSettings, *, device: str | torch.device, progress: Progress
) -> Head:
    """Return one row per unseen class, in order: float32, on the CPU."""
    progress(0.0, "mixing")
    seen_SA, unseen_UA = unit_embeddings(task, device)
    # The matrix product's shortcut would lose the zero between equal embeddings.
    distance_US = torch.cdist(unseen_UA, seen_SA, compute_mode="donot_use_mm_for_euclid_dist")
    head = mixed_head(task, torch.exp(-settings.sharpness * distance_US), settings.rescale)
    progress(0.9, "mixing")
    return head


METHOD = Method(
    name="wavg",
    doc=__doc__,
    settings=WavgSettings,
    synthesize=synthesize,
    # A smoother with one bandwidth: what hides seen classes never preferred it to ridge.
    candidate=False,
)
