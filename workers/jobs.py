"""One job as data: what a client asks for, and what a worker needs to run it.

It knows nothing of HTTP, Redis or torch: both sides of the queue read it.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from workers.header import HeadTensors

SCHEMA = 1
TERMINAL = frozenset({"succeeded", "failed", "cancelled"})
Status = Literal["queued", "running", "succeeded", "failed", "cancelled"]
FileFormat = Literal["safetensors", "torch"]

EncoderName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
TensorName = Annotated[str, Field(min_length=1, max_length=500)]
Template = Annotated[str, Field(pattern=r"^[^{}]*\{\}[^{}]*$", max_length=300)]
Row = list[float]


class Strict(BaseModel):
    """A part of a request: a field we do not have is an error, not ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ClassEntry(Strict):
    """A class: its name and, when given, the line a text encoder reads instead of the bare name."""

    name: str = Field(min_length=1, max_length=200)
    description: str | None = Field(default=None, min_length=1, max_length=1000)

    @model_validator(mode="before")
    @classmethod
    def _accept_bare_name(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value


class NameEmbeddings(Strict):
    """Class embeddings made from the class names by a text encoder of the workers."""

    kind: Literal["names"] = "names"
    encoder: EncoderName = Field(
        default="minilm", description="Short name of an encoder listed by GET /v1/encoders."
    )
    templates: list[Template] | None = Field(
        default=None, min_length=1, max_length=100, description="Prompts, each with one {}."
    )


class VectorEmbeddings(Strict):
    """Class embeddings sent with the request: `seen` (S, A) and `unseen` (U, A), in class order."""

    kind: Literal["attributes", "embeddings"]
    seen: list[Row]
    unseen: list[Row]


class HeadFields(Strict):
    """How to read the checkpoint's head; whatever is left out is detected."""

    weight: TensorName | None = None
    bias: TensorName | None = None
    metric: Literal["linear", "cosine"] = "linear"
    scale: float = Field(default=1.0, gt=0, allow_inf_nan=False)


class CalibrationWish(Strict):
    """How new rows are balanced against old ones, found by hiding seen classes: no picture used."""

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
    add_bias: bool = Field(default=False, description="Allow a bias where the head has none.")
    budget_seconds: float = Field(
        default=60.0, gt=0, le=3600, description="Time that `auto` may spend on candidates."
    )


class HeadRequest(Strict):
    """`POST /v1/heads`: what is said about an uploaded checkpoint."""

    class_names: list[ClassEntry] | None = Field(
        default=None,
        min_length=2,
        max_length=200_000,
        description="The head's classes in row order; by default the list in the file's metadata.",
    )
    head: HeadFields = HeadFields()


class InjectionRequest(HeadRequest):
    """`POST /v1/injections`: the classes to add to a head, and how."""

    head_id: str | None = Field(default=None, max_length=64)
    add: list[ClassEntry] = Field(min_length=1, max_length=100_000)
    class_embeddings: Annotated[NameEmbeddings | VectorEmbeddings, Field(discriminator="kind")] = (
        NameEmbeddings()
    )
    method: str = Field(
        default="auto", max_length=64, description="`auto` tries what the task allows and picks."
    )
    settings: dict[str, JsonValue] = {}
    calibration: CalibrationWish = CalibrationWish()
    timeout_seconds: int = Field(default=3600, ge=1, le=86_400)

    @model_validator(mode="before")
    @classmethod
    def _default_kind(cls, value: Any) -> Any:
        embeddings = value.get("class_embeddings") if isinstance(value, dict) else None
        if isinstance(embeddings, dict) and "kind" not in embeddings:
            return {**value, "class_embeddings": {"kind": "names", **embeddings}}
        return value


class StoredHead(Strict):
    """An uploaded checkpoint: where its bytes lie, what they hash to, and the head in it.

    In a torch file the head is found by the worker that converts it: `tensors` is None until
    then, and `weight` and `bias` are the names that the request gave, if it did.
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

    @property
    def located(self) -> HeadTensors:
        """Where the head is; only for a file that needs no conversion, or has had it."""
        assert self.tensors is not None, f"nobody has looked for the head in {self.path} yet"
        return self.tensors

    def known(self) -> dict[str, Any]:
        """Return feature_size, dtype, weight and bias; None for what only a worker can tell."""
        if self.tensors is None:
            return {"feature_size": None, "dtype": None, "weight": self.weight, "bias": self.bias}
        return self.tensors.model_dump(include={"feature_size", "dtype", "weight", "bias"})


class JobSpec(Strict):
    """Everything a worker needs to run one injection; stored as `{owner}/{job}/request.json`."""

    schema_version: Literal[1] = 1
    head: StoredHead
    add: list[ClassEntry]
    class_embeddings: Annotated[NameEmbeddings | VectorEmbeddings, Field(discriminator="kind")]
    method: str
    settings: dict[str, JsonValue]
    calibration: CalibrationWish = CalibrationWish()
    timeout_seconds: int


class JobError(BaseModel):
    """Why a job failed: a code for programs, a sentence for people."""

    code: str
    message: str


class Record(BaseModel):
    """A job as the ledger holds it; times are milliseconds since 1970 on Redis's clock."""

    id: str
    owner: str
    status: Status
    attempt: int
    timeout_seconds: int
    spec: str
    summary: dict[str, Any]
    created_at: int
    started_at: int | None = None
    finished_at: int | None = None
    message: str
    token: str = ""
    worker: str | None = None
    progress: float = 0.0
    stage: str | None = None
    loss: float | None = None
    error: JobError | None = None
    manifest: dict[str, Any] | None = None

    @property
    def is_terminal(self) -> bool:
        return self.status in TERMINAL


class HeadRecord(BaseModel):
    """An uploaded head as the ledger holds it; `head` is a `jobs.StoredHead` as JSON."""

    id: str
    owner: str
    created_at: int
    head: dict[str, Any]


@dataclass(frozen=True)
class Problem:
    """One defect of a request: a JSON pointer to the value, and what is wrong with it."""

    pointer: str
    detail: str


def class_problems(entries: Sequence[ClassEntry], pointer: str) -> list[Problem]:
    """Find the names that stand twice in a list of classes."""
    counts = Counter(entry.name for entry in entries)
    first: dict[str, int] = {}
    problems = []
    for index, entry in enumerate(entries):
        if counts[entry.name] > 1 and entry.name in first:
            problems.append(
                Problem(
                    f"{pointer}/{index}/name",
                    f"class {entry.name!r} is already number {first[entry.name]} of the list",
                )
            )
        first.setdefault(entry.name, index)
    return problems


def injection_problems(request: InjectionRequest, seen: Sequence[ClassEntry]) -> list[Problem]:
    """Find what makes an injection into this head impossible: names, counts, vectors."""
    seen_names = {entry.name for entry in seen}
    problems = class_problems(request.add, "/add")
    problems += [
        Problem(f"/add/{index}/name", f"the head already has a class {entry.name!r}")
        for index, entry in enumerate(request.add)
        if entry.name in seen_names
    ]
    if isinstance(request.class_embeddings, VectorEmbeddings):
        problems += _vector_problems(request.class_embeddings, seen, request.add)
    return problems


def joint_problem(
    request: InjectionRequest, tensors: HeadTensors, encoder_size: int | None
) -> Problem | None:
    """Say why class embeddings cannot serve as rows: their size must be the head's feature size.

    `encoder_size` is the named encoder's dimension, None while no worker has announced it.
    """
    vectors = request.class_embeddings
    size = encoder_size
    if isinstance(vectors, VectorEmbeddings) and vectors.seen:
        size = len(vectors.seen[0])
    if size is None or size == tensors.feature_size:
        return None
    return Problem(
        "/class_embeddings",
        f"method {request.method!r} uses the class embeddings themselves as rows: they have "
        f"{size} numbers, the head's rows have {tensors.feature_size}",
    )


def _vector_problems(
    vectors: VectorEmbeddings, seen: Sequence[ClassEntry], add: Sequence[ClassEntry]
) -> list[Problem]:
    size = len(vectors.seen[0]) if vectors.seen else 0
    problems: list[Problem] = []
    parts = (("seen", vectors.seen, seen), ("unseen", vectors.unseen, add))
    for part, rows, entries in parts:
        pointer = f"/class_embeddings/{part}"
        if len(rows) != len(entries):
            detail = f"{len(rows)} vectors for {len(entries)} classes: give one per class, in order"
            problems.append(Problem(pointer, detail))
            continue
        named = zip(rows, entries, strict=True)
        problems += [
            Problem(f"{pointer}/{index}", f"the vector of class {entry.name!r} {defect}")
            for index, (row, entry) in enumerate(named)
            if (defect := _row_defect(row, size))
        ]
    return problems


def _row_defect(row: Row, size: int) -> str | None:
    if len(row) == 0:
        return "is empty"
    if len(row) != size:
        return f"has {len(row)} numbers; the first seen class has {size}"
    if not all(map(math.isfinite, row)):
        return "holds NaN or infinity"
    return None if any(row) else "is all zero"


def names(entries: Iterable[ClassEntry]) -> tuple[str, ...]:
    """Return the bare class names, in order."""
    return tuple(entry.name for entry in entries)
