"""A method that takes its time, and stops when told to."""

import time

import torch
from pydantic import BaseModel, ConfigDict, Field

from headgraft.models.heads.head import Head
from headgraft.models.method import Method
from headgraft.models.progress import Progress
from headgraft.models.task import Task


class SleepsSettings(BaseModel):
    """How long."""

    model_config = ConfigDict(extra="forbid")

    seconds: float = Field(default=1.0, ge=0, description="Wall time of the run.")


def synthesize(
    task: Task, settings: SleepsSettings, *, device: str | torch.device, progress: Progress
) -> Head:
    """Copy the first seen rows, after a while."""
    start = time.monotonic()
    while (passed := time.monotonic() - start) < settings.seconds:
        progress(passed / settings.seconds, "sleeping")
        time.sleep(0.02)
    count = len(task.unseen_class_names)
    return task.head.with_rows(task.head.rows[:count], task.unseen_class_names)


METHOD = Method(
    name="sleeps",
    doc=__doc__,
    settings=SleepsSettings,
    synthesize=synthesize,
)
