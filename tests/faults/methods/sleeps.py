"""A method that takes its time, and stops when told to."""

import time

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
    """Copy the first seen rows, after a while."""
    start = time.monotonic()
    while (passed := time.monotonic() - start) < settings.seconds:
        progress(passed / settings.seconds, "sleeping")
        time.sleep(0.02)
    count = len(task.unseen_class_names)
    return task.head.with_rows(task.head.rows[:count], task.unseen_class_names)
