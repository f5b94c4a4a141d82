"""ConSE: a picture means a mix of seen classes, and is the class whose embedding is nearest to it.

Predicted embedding = softmax(seen logits / temperature) times seen embeddings; the class is the
nearest by cosine among all C. The result is no row but a head of its own kind
(models/heads/semantic.py), so it cannot take the old one's place in a checkpoint.

Differences from the specification: embeddings are centred by default, and `unseen_offset` is added
to the new classes' cosines. Null chooses it from hidden seen classes, without a picture
(offset.py); 0 is the paper's, under which old classes nearly always win.
"""

import torch
from pydantic import Field

from headgraft.models.heads.semantic import SemanticHead
from headgraft.models.method import Method
from headgraft.models.methods.conse.offset import choose_offset
from headgraft.models.progress import Progress
from headgraft.models.settings import MethodSettings
from headgraft.models.task import Task


class ConseSettings(MethodSettings):
    """The constants of the comparison."""

    temperature: float = Field(
        1.0, gt=0, le=1000, description="What the seen logits are divided by."
    )
    centre: bool = Field(True, description="Subtract the seen class embeddings' mean first.")
    unseen_offset: float | None = Field(
        None, ge=-2, le=2, description="Added to new classes' cosines; null: chosen for best H."
    )


def synthesize(
    task: Task, settings: ConseSettings, *, device: str | torch.device, progress: Progress
) -> SemanticHead:
    """Return the head of all S + U classes, seen first: on the CPU, the seen head as it was."""
    progress(0.0, "embeddings")
    seen_SA, unseen_UA = task.normalised_embeddings(device, torch.float64, centre=settings.centre)
    embeddings_CA = torch.cat([seen_SA, unseen_UA]).to("cpu", torch.float32)
    names = task.head.class_names + task.unseen_class_names
    offset = settings.unseen_offset
    if offset is None:
        progress(0.2, "calibrate")
        known_SA = embeddings_CA[: len(seen_SA)]
        offset = choose_offset(task.head, known_SA, len(unseen_UA), settings.temperature)
    progress(0.9, "embeddings")
    return SemanticHead(task.head, embeddings_CA, names, settings.temperature, offset)


METHOD = Method(
    name="conse",
    doc=__doc__,
    settings=ConseSettings,
    synthesize=synthesize,
    head="semantic",
)
