"""A method whose device dies under it."""

import torch
from pydantic import BaseModel, ConfigDict, Field

from headgraft.models.heads.head import Head
from headgraft.models.method import Method
from headgraft.models.progress import Progress
from headgraft.models.task import Task


class PoisonedSettings(BaseModel):
    """How long."""

    model_config = ConfigDict(extra="forbid")

    seconds: float = Field(default=1.0, ge=0, description="Wall time of the run.")


def synthesize(
    task: Task, settings: PoisonedSettings, *, device: str | torch.device, progress: Progress
) -> Head:
    """Fail as every call does once a CUDA context is dead."""
    progress(0.5, "poisoning")
    raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")


METHOD = Method(
    name="poisoned",
    doc=__doc__,
    settings=PoisonedSettings,
    synthesize=synthesize,
)
