"""A method that kills its process."""

import os
import signal

import torch
from pydantic import BaseModel, ConfigDict, Field

from headgraft.models.heads.head import Head
from headgraft.models.method import Method
from headgraft.models.progress import Progress
from headgraft.models.task import Task


class DeadlySettings(BaseModel):
    """How long."""

    model_config = ConfigDict(extra="forbid")

    seconds: float = Field(default=1.0, ge=0, description="Wall time of the run.")


def synthesize(
    task: Task, settings: DeadlySettings, *, device: str | torch.device, progress: Progress
) -> Head:
    """Die as a crash of native code would."""
    progress(0.5, "dying")
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("it lives")


METHOD = Method(
    name="deadly",
    doc=__doc__,
    settings=DeadlySettings,
    synthesize=synthesize,
)
