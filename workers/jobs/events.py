"""What happened to a job, as its stream in Redis holds it."""

from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple

from pydantic import BaseModel, Field, TypeAdapter

from headgraft.workers.jobs.spec import FailureCode, Status


def is_none(value: object) -> bool:
    """Tell whether a field is to be left out."""
    return value is None


class StatusEvent(BaseModel):
    """A job's status changed, `at` milliseconds since 1970; `code` says why it failed."""

    type: Literal["status"]
    job: str
    at: int
    status: Status
    attempt: int
    code: FailureCode | None = Field(default=None, exclude_if=is_none)


class ProgressEvent(BaseModel):
    """How far a run is, `at` milliseconds since 1970: a share of 1, the stage, perhaps a loss."""

    type: Literal["progress"]
    job: str
    at: int
    progress: float
    stage: str
    loss: float | None = Field(default=None, exclude_if=is_none)


class DamageEvent(BaseModel):
    """A file of the result was found to be damaged, `at` milliseconds since 1970."""

    type: Literal["damage"]
    job: str
    at: int
    file: str


EventData = Annotated[StatusEvent | ProgressEvent | DamageEvent, Field(discriminator="type")]
EVENT_DATA: TypeAdapter[StatusEvent | ProgressEvent | DamageEvent] = TypeAdapter(EventData)


class StepProgress(NamedTuple):
    """How far a run is, as it tells the ledger: a share of 1, the stage, perhaps a loss."""

    progress: float
    stage: str
    loss: float | None


@dataclass(frozen=True)
class Event:
    """One entry of a job's event stream; `id` orders and resumes it."""

    id: str
    data: StatusEvent | ProgressEvent | DamageEvent
