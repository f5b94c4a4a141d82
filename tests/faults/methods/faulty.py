"""A method with a mistake in it."""

import torch
from pydantic import BaseModel, ConfigDict, Field

from headgraft.models.heads.head import Head
from headgraft.models.method import Method
from headgraft.models.progress import Progress
from headgraft.models.task import Task


class FaultySettings(BaseModel):
    """How long."""

    model_config = ConfigDict(extra="forbid")

    seconds: float = Field(default=1.0, ge=0, description="Wall time of the run.")


def synthesize(
    task: Task, settings: FaultySettings, *, device: str | torch.device, progress: Progress
) -> Head:
    """Fail as a defect of ours would."""
    progress(0.5, "failing")
    raise RuntimeError("a detail nobody outside should read")


METHOD = Method(
    name="faulty",
    doc=__doc__,
    settings=FaultySettings,
    synthesize=synthesize,
)
