"""The objects the API shows, and how each is made from what ledger and store hold.

It asks nobody: everything an object says is an argument here.
"""

from datetime import UTC, datetime
from typing import Literal

from pydantic import BaseModel, JsonValue
from pydantic.json_schema import JsonSchemaValue

from headgraft.workers.jobs.events import Event, EventData
from headgraft.workers.jobs.report import Estimate, VerdictPart
from headgraft.workers.jobs.spec import JobError, Record, Status
from headgraft.workers.jobs.summary import EmbeddingsSummary, FeaturesSummary, HeadSummary


class Artifact(BaseModel):
    """A file that a succeeded injection left."""

    name: str
    bytes: int
    sha256: str


class Links(BaseModel):
    """Where the rest of an injection is."""

    self: str
    events: str
    head: str
    report: str
    cancel: str


class Result(BaseModel):
    """What was done in the end: the method that `auto` chose, its settings, what to expect.

    `verdict` is null where nothing was estimated.
    """

    verdict: VerdictPart | None = None
    method: str
    settings: dict[str, JsonValue]
    estimate: Estimate | None


class InjectionResource(BaseModel):
    """A job as its owner sees it."""

    object: Literal["injection"] = "injection"
    id: str
    status: Status
    attempt: int
    progress: float
    stage: str | None
    loss: float | None
    method: str
    settings: dict[str, JsonValue]
    class_embeddings: EmbeddingsSummary
    seen_count: int
    unseen_count: int
    head: HeadSummary
    features: FeaturesSummary | None = None
    copied_from: str | None
    metadata: dict[str, str]
    queue_position: int | None
    workers_online: int
    seconds_left: float | None
    created_at: str
    started_at: str | None
    finished_at: str | None
    expires_at: str | None
    timeout_seconds: int
    deadline_at: str | None
    error: JobError | None
    artifacts: list[Artifact]
    seconds: dict[str, float] | None
    result: Result | None
    links: Links


class InjectionList(BaseModel):
    """A page of injections, newest first."""

    object: Literal["list"] = "list"
    data: list[InjectionResource]
    has_more: bool


class EventResource(BaseModel):
    """One event; `data` is what the stream of server-sent events carries."""

    object: Literal["event"] = "event"
    id: str
    type: str
    created_at: str
    data: EventData


class EventList(BaseModel):
    """A page of events, oldest first."""

    object: Literal["list"] = "list"
    data: list[EventResource]
    has_more: bool


class MethodResource(BaseModel):
    """An installed method."""

    object: Literal["method"] = "method"
    name: str
    summary: str
    needs: list[str]
    takes: list[str] = []
    head: Literal["rows", "semantic", "attribute"]
    settings: JsonSchemaValue


class MethodList(BaseModel):
    """The installed methods."""

    object: Literal["list"] = "list"
    data: list[MethodResource]


class EncoderResource(BaseModel):
    """A text encoder, and how many of the workers online have it."""

    object: Literal["encoder"] = "encoder"
    name: str
    dimension: int
    digest: str
    workers: int


class EncoderList(BaseModel):
    """The encoders of the workers online."""

    object: Literal["list"] = "list"
    data: list[EncoderResource]


def injection_resource(
    record: Record,
    *,
    queue_position: int | None = None,
    workers_online: int = 0,
    seconds_left: float | None = None,
) -> InjectionResource:
    """Show a job."""
    manifest, head = record.manifest, record.summary.head
    if manifest:
        head = head.model_copy(update=vars(manifest.head))
    shown = record.model_dump(
        include={
            "id",
            "status",
            "attempt",
            "progress",
            "stage",
            "loss",
            "timeout_seconds",
            "metadata",
            "copied_from",
        }
    )
    return InjectionResource(
        **shown,
        **{**vars(record.summary), "head": head},
        queue_position=queue_position,
        workers_online=workers_online,
        seconds_left=None if seconds_left is None else round(seconds_left, 1),
        created_at=timestamp(record.created_at),
        started_at=timestamp_or_none(record.started_at),
        finished_at=timestamp_or_none(record.finished_at),
        expires_at=timestamp_or_none(record.expires_at),
        deadline_at=timestamp_or_none(record.deadline_at),
        error=record.error,
        artifacts=[
            Artifact(name=name, bytes=file.bytes, sha256=file.sha256)
            for name, file in (manifest.files if manifest else {}).items()
        ],
        seconds=manifest.seconds if manifest else None,
        result=Result.model_validate(manifest, from_attributes=True) if manifest else None,
        links=links(record.id),
    )


def links(job: str) -> Links:
    """Say where the parts of an injection are."""
    own = f"/v1/injections/{job}"
    parts = {part: f"{own}/{part}" for part in ("events", "head", "report", "cancel")}
    return Links(self=own, **parts)


def event_resource(event: Event) -> EventResource:
    """Show an event."""
    data = event.data
    return EventResource(id=event.id, type=data.type, created_at=timestamp(data.at), data=data)


def timestamp_or_none(milliseconds: int | None) -> str | None:
    """Write a time, if there is one."""
    return timestamp(milliseconds) if milliseconds is not None else None


def timestamp(milliseconds: int) -> str:
    """Write a time of the ledger in ISO 8601, UTC."""
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
