"""A method whose device dies under it."""

import torch
from pydantic import BaseModel, ConfigDict, Field

from headgraft.models.cost import closed_form
from headgraft.models.heads.head import Head
from headgraft.models.progress import Progress
from headgraft.models.task import Task

NEEDS: frozenset[str] = frozenset()
expected_seconds = closed_form


class Settings(BaseModel):
    """How long."""

    model_config = ConfigDict(extra="forbid")

    seconds: float = Field(default=1.0, ge=0, description="Wall time of the run.")


def synthesize(task: Task, settings: Settings, *, device: str, progress: Progress) -> Head:
    """Fail as every call does once a CUDA context is dead."""
    progress(0.5, "poisoning")
    raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")
