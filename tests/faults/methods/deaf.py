"""A method that never looks whether it should stop."""

import time

import torch
from pydantic import BaseModel, ConfigDict, Field

from headgraft.models.heads.head import Head
from headgraft.models.method import Method
from headgraft.models.progress import Progress
from headgraft.models.task import Task


class DeafSettings(BaseModel):
    """How long."""

    model_config = ConfigDict(extra="forbid")

    seconds: float = Field(default=1.0, ge=0, description="Wall time of the run.")


def synthesize(
    task: Task, settings: DeafSettings, *, device: str | torch.device, progress: Progress
) -> Head:
    """Sleep and report to nobody."""
    progress(0.5, "deaf")
    time.sleep(settings.seconds)
    raise AssertionError("it was not ended")


METHOD = Method(
    name="deaf",
    doc=__doc__,
    settings=DeafSettings,
    synthesize=synthesize,
)
