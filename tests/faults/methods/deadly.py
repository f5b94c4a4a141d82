"""A method that kills its process."""

import os
import signal

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
    """Die as a crash of native code would."""
    progress(0.5, "dying")
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("it lives")
