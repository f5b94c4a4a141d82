"""What a client may ask for in a POST; what becomes of it is said elsewhere."""

from typing import Annotated, Any

from pydantic import Field, JsonValue, NonNegativeInt, model_validator

from headgraft.workers.jobs.spec import (
    CalibrationWish,
    ClassEntry,
    HeadFields,
    NameEmbeddings,
    Strict,
    VectorEmbeddings,
    Whole,
)

# A filter is written key=value.
MetadataKey = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
MetadataValue = Annotated[str, Field(max_length=512)]


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
    features_id: str | None = Field(
        default=None,
        max_length=64,
        description="Features of pictures to calibrate by, of POST /v1/features: of the head's "
        "classes with labels, or without.",
    )
    add: list[ClassEntry] = Field(min_length=1, max_length=100_000)
    class_embeddings: Annotated[NameEmbeddings | VectorEmbeddings, Field(discriminator="kind")] = (
        NameEmbeddings()
    )
    method: str = Field(
        default="auto", max_length=64, description="`auto` tries what the task allows and picks."
    )
    settings: dict[str, JsonValue] = Field(default_factory=dict)
    calibration: CalibrationWish = CalibrationWish()
    reuse: bool = Field(
        default=True,
        description="Answer by the result of an identical request, if there is one; false: run.",
    )
    attention_of: list[NonNegativeInt] | None = Field(
        default=None,
        max_length=16,
        description="Pictures of the features, by number from 0, of which the report of a method "
        "that looks at regions shows where it looked; by default one of each of 16 classes.",
    )
    timeout_seconds: Whole = Field(
        default=3600, ge=1, le=86_400, description="How long a run may last."
    )
    deadline_seconds: Whole | None = Field(
        default=None,
        ge=1,
        le=7 * 86_400,
        description="From now on: a job that has not ended by then, queued or running, fails.",
    )
    metadata: dict[MetadataKey, MetadataValue] = Field(
        default_factory=dict,
        max_length=16,
        description="Yours to find the injection by; the service does not look at it.",
        # The keys stand in the schema as patternProperties, which alone forbid no other.
        json_schema_extra={"additionalProperties": False},
    )

    @model_validator(mode="before")
    @classmethod
    def _default_kind(cls, value: Any) -> Any:
        embeddings = value.get("class_embeddings") if isinstance(value, dict) else None
        if isinstance(embeddings, dict) and "kind" not in embeddings:
            return {**value, "class_embeddings": {"kind": "names", **embeddings}}
        return value
