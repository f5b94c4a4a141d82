"""The class embeddings themselves as rows, for heads on features of the same joint encoder.

Where features and class embeddings come from one model (CLIP), a class's text vector is its row.
It is scaled to the seen rows' mean norm; every injected class gets the seen mean bias.
"""

import torch
from pydantic import Field
from torch.nn.functional import normalize

from headgraft.models.errors import InjectionError
from headgraft.models.heads.head import Head
from headgraft.models.method import Method
from headgraft.models.progress import Progress
from headgraft.models.settings import MethodSettings
from headgraft.models.task import Task


class ClipTextSettings(MethodSettings):
    """The constants of the scaling."""

    scale: float = Field(
        1.0, gt=0, le=100, description="Row norm, as a multiple of the seen rows' mean norm."
    )


def synthesize(
    task: Task, settings: ClipTextSettings, *, device: str | torch.device, progress: Progress
) -> Head:
    """Return one row per unseen class, in order: float32, on the CPU.

    InjectionError where class embeddings and features have unlike sizes.
    """
    progress(0.0, "scaling")
    head, texts_UA = task.head, task.unseen_class_embeddings_UA.to(device, torch.float64)
    if texts_UA.shape[1] != head.feature_size:
        raise InjectionError(
            f"method 'clip_text' uses the class embeddings themselves as rows: they have "
            f"{texts_UA.shape[1]} numbers, the head's rows have {head.feature_size}",
            pointer="/class_embeddings",
        )
    norm = head.weight.to(device, torch.float64).norm(dim=1).mean()
    rows_UK = normalize(texts_UA) * norm * settings.scale
    if head.bias is not None:
        bias_U1 = head.bias.to(device, torch.float64).mean().expand(len(rows_UK), 1)
        rows_UK = torch.cat([rows_UK, bias_U1], dim=1)
    progress(0.9, "scaling")
    return head.with_rows(rows_UK, task.unseen_class_names)


METHOD = Method(
    name="clip_text",
    doc=__doc__,
    settings=ClipTextSettings,
    synthesize=synthesize,
    needs=frozenset({"joint_embeddings"}),
    candidate=True,
)
