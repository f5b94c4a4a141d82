"""SMO: a new row is the mix of seen rows whose mix of embeddings is nearest to the new embedding.

The mix is on the simplex: non-negative weights that sum to 1, least squared error, solved exactly
(simplex.py); among equally good mixes that with the smallest sum of squared weights.

Differences from the specification: none in the problem. The release goes from a random start
by gradient descent to a crude stop, so its mixes may be nearer to uniform. `rescale: release` is
its rescaling (divided by 10 times the mean norm, [w ; b] together); off by default, since a mix
has a row's magnitude.
"""

import torch

from headgraft.models.heads.head import Head
from headgraft.models.learners.mixing import MixSettings, mixed_head, unit_embeddings
from headgraft.models.method import Method
from headgraft.models.methods.smo.simplex import nearest_mix
from headgraft.models.progress import Progress
from headgraft.models.task import Task

SECONDS_A_NUMBER = 2.5e-7  # of the seen class embeddings, for one new class


class SmoSettings(MixSettings):
    """The constants of the mix."""


def synthesize(
    task: Task, settings: SmoSettings, *, device: str | torch.device, progress: Progress
) -> Head:
    """Return one row per unseen class, in order: float32, on the CPU."""
    seen_SA, unseen_UA = unit_embeddings(task, "cpu")
    mixes = []
    for number, target_A in enumerate(unseen_UA):
        progress(number / len(unseen_UA), "solving")
        mixes.append(nearest_mix(seen_SA, target_A))
    return mixed_head(task, torch.stack(mixes).to(device), settings.rescale)


def expected_seconds(task: Task, _settings: SmoSettings, _device: str | torch.device) -> float:
    """Predict the seconds of a fit, which is solved on the CPU."""
    return SECONDS_A_NUMBER * task.class_embeddings_SA.numel() * len(task.unseen_class_names)


METHOD = Method(
    name="smo",
    doc=__doc__,
    settings=SmoSettings,
    synthesize=synthesize,
    expected_seconds=expected_seconds,
)
