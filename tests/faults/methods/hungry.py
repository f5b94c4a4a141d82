"""A method that asks for more memory than there is."""

import torch
from pydantic import BaseModel, ConfigDict, Field

from headgraft.models.heads.head import Head
from headgraft.models.method import Method
from headgraft.models.progress import Progress
from headgraft.models.task import Task


class HungrySettings(BaseModel):
    """How long."""

    model_config = ConfigDict(extra="forbid")

    seconds: float = Field(default=1.0, ge=0, description="Wall time of the run.")


def synthesize(
    task: Task, settings: HungrySettings, *, device: str | torch.device, progress: Progress
) -> Head:
    """Run out of memory."""
    progress(0.5, "eating")
    torch.empty(2**60, dtype=torch.uint8)
    raise AssertionError("it was given an exabyte")


METHOD = Method(
    name="hungry",
    doc=__doc__,
    settings=HungrySettings,
    synthesize=synthesize,
)
