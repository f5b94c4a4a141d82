"""One job as data: what a client asks for, and what a worker needs to run it."""

from collections.abc import Iterable
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, Field, JsonValue, NonNegativeInt

from headgraft.models.errors import InjectionCode
from headgraft.workers.formats.find_head import HeadTensors
from headgraft.workers.jobs.manifest import Manifest
from headgraft.workers.jobs.request import (
    ClassEntry,
    NameEmbeddings,
    NetworkFields,
    Strict,
    VectorEmbeddings,
)
from headgraft.workers.jobs.summary import FeatureCounts, FileFormat, HeadShape, Summary
from headgraft.workers.jobs.texts import TensorName

TERMINAL = frozenset({"succeeded", "failed", "cancelled"})
Status = Literal["queued", "running", "succeeded", "failed", "cancelled"]
FailureCode = Literal[  # Why a job failed: what the user caused, and what stopped the run.
    InjectionCode,
    "artifact_damaged",
    "deadline",
    "internal_error",
    "out_of_memory",
    "scratch_full",
    "store_error",
    "timeout",
    "worker_lost",
]
UNLABELLED = -1  # the label of a picture whose class is not known


class CalibrationWish(Strict):
    """How new rows are balanced against old ones, found by hiding seen classes."""

    enabled: bool = Field(default=True, description="Off: rows as the method makes them.")
    prefer: Literal["old", "balanced", "new"] = Field(
        default="balanced", description="Which classes to favour where accuracies trade off."
    )
    seen_loss_points: float | None = Field(
        default=None, ge=0, le=100, description="At most so many points of seen accuracy lost."
    )
    seen_accuracy: float | None = Field(
        default=None, gt=0, le=1, description="The head's own accuracy, where it is known."
    )
    add_bias: bool = Field(
        default=False,
        description="Ask for a bias; refused where the head has none, as the file gains no tensor.",
    )
    budget_seconds: float = Field(
        10.0, gt=0, le=3600, description="For `auto`: predicted seconds of two cores; no clock."
    )


class StoredHead(Strict):
    """An uploaded checkpoint: where its bytes lie, what they hash to, and the head in it.

    `weight`, `bias` and `key`, a state dict's, are the names that the request gave for a torch
    file, in which a worker finds the head: `tensors` is None until then.
    """

    path: str
    sha256: str
    bytes: int
    format: FileFormat = "safetensors"
    tensors: HeadTensors | None
    weight: TensorName | None = None
    bias: TensorName | None = None
    metric: Literal["linear", "cosine"]
    scale: float
    class_names: list[ClassEntry]
    key: str | None = None
    allow_ungrown: list[str] = Field(default=[])

    @property
    def located(self) -> HeadTensors:
        """Where the head is; only for a file that needs no conversion, or has had it."""
        assert self.tensors is not None, f"nobody has looked for the head in {self.path} yet"
        return self.tensors

    @property
    def shape(self) -> HeadShape:
        """What is known of the head: None for what only a worker can tell."""
        if self.tensors is None:
            return HeadShape(feature_size=None, dtype=None, weight=self.weight, bias=self.bias)
        return HeadShape.model_validate(self.tensors, from_attributes=True)


class StoredFeatures(Strict):
    """Uploaded features: `features` (count, feature_size), and `labels` (count,) from 0, if any.

    `classes` counts the distinct labels, which lie in label_min to label_max. Of the `unlabelled`
    the class is not known: their label is -1, or there are no labels. `generic` says that these
    show anything at all. `region_shape` is [R] or [height, width], of features of regions.
    """

    path: str
    sha256: str
    bytes: int
    count: int
    feature_size: int
    dtype: str
    label_dtype: str | None
    label_min: int | None
    label_max: int | None
    classes: int
    unlabelled: int = 0
    generic: bool = False
    region_shape: list[int] | None = None

    @property
    def labelled(self) -> int:
        """The number of pictures whose class is known."""
        return self.count - self.unlabelled

    @property
    def counts(self) -> FeatureCounts:
        """What a record and a report say of the file."""
        return FeatureCounts.model_validate(self, from_attributes=True)


class JobSpec(Strict):
    """Everything a worker needs to run one injection; stored as `{owner}/{job}/request.json`."""

    schema_version: Literal[1] = 1
    head: StoredHead
    features: StoredFeatures | None = None
    add: list[ClassEntry]
    class_embeddings: Annotated[NameEmbeddings | VectorEmbeddings, Field(discriminator="kind")]
    method: str
    settings: dict[str, JsonValue]
    calibration: CalibrationWish = CalibrationWish()
    network: NetworkFields | None = None
    attention_of: list[NonNegativeInt] | None = None
    allow_twins: bool = False
    timeout_seconds: int


class JobError(BaseModel):
    """Why a job failed: a code for programs, a sentence for people."""

    code: FailureCode
    message: str


class Record(BaseModel):
    """A job as the ledger holds it; times are milliseconds since 1970 on Redis's clock."""

    id: str
    owner: str
    status: Status
    attempt: int
    timeout_seconds: int
    spec: str
    spec_sha256: str | None = None
    summary: Summary
    created_at: int
    started_at: int | None = None
    finished_at: int | None = None
    expires_at: int | None = None
    message: str = ""
    token: str = ""
    worker: str | None = None
    progress: float = 0.0
    stage: str | None = None
    loss: float | None = None
    error: JobError | None = None
    manifest: Manifest | None = None
    metadata: dict[str, str] = {}
    deadline_at: int | None = None
    request_id: str | None = None
    traceparent: str | None = None
    copied_from: str | None = None
    damaged: str = ""

    @property
    def is_terminal(self) -> bool:
        return self.status in TERMINAL

    @property
    def seconds_allowed(self) -> float:
        """How long the run that has begun may last: its timeout, or less before a deadline."""
        if self.deadline_at is None or self.started_at is None:
            return self.timeout_seconds
        return min(self.timeout_seconds, (self.deadline_at - self.started_at) / 1000)

    @property
    def origin(self) -> dict[str, str | None]:
        """Say for log lines which request this job came with, and which trace it belongs to."""
        _, trace_id, parent_id, _ = (self.traceparent or "---").split("-")
        told = {"request_id": self.request_id, "trace_id": trace_id, "parent_id": parent_id}
        return {name: value or None for name, value in told.items()}


class HeadRecord(BaseModel):
    """An uploaded head as the ledger holds it."""

    KIND: ClassVar = "head"
    BODY: ClassVar = "head"
    id: str
    owner: str
    created_at: int
    head: StoredHead


class FeaturesRecord(BaseModel):
    """Uploaded features as the ledger holds them."""

    KIND: ClassVar = "feature"
    BODY: ClassVar = "features"
    id: str
    owner: str
    created_at: int
    features: StoredFeatures


def names(entries: Iterable[ClassEntry]) -> tuple[str, ...]:
    """Return the bare class names, in order."""
    return tuple(entry.name for entry in entries)
