"""A method with a mistake in it."""

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
    """Fail as a defect of ours would."""
    progress(0.5, "failing")
    raise RuntimeError("a detail nobody outside should read")
