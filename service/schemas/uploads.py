"""Uploaded heads and features as the API shows them."""

from typing import Literal

from pydantic import BaseModel

from headgraft.service.schemas.injections import timestamp
from headgraft.workers.jobs.spec import FeaturesRecord, HeadRecord
from headgraft.workers.jobs.summary import FileFormat


class HeadResource(BaseModel):
    """An uploaded head; of a torch file's, null where the request did not say."""

    object: Literal["head"] = "head"
    id: str
    sha256: str
    bytes: int
    format: FileFormat
    weight: str | None
    bias: str | None
    class_count: int
    feature_size: int | None
    dtype: str | None
    metric: Literal["linear", "cosine"]
    scale: float
    created_at: str
    class_names: list[str]


class HeadList(BaseModel):
    """A page of heads, newest first."""

    object: Literal["list"] = "list"
    data: list[HeadResource]
    has_more: bool


class FeaturesResource(BaseModel):
    """Uploaded features; `labelled` counts the pictures with a label, `classes` distinct labels.

    `label_dtype` is null without labels, `label_min` and `label_max` where no picture has one.
    `generic`: those without a label show anything at all. `region_shape` is [R] or [height, width],
    null for one feature a picture.
    """

    object: Literal["features"] = "features"
    id: str
    sha256: str
    bytes: int
    count: int
    feature_size: int
    dtype: str
    label_dtype: str | None
    label_min: int | None
    label_max: int | None
    labelled: int
    classes: int
    generic: bool
    region_shape: list[int] | None
    created_at: str


class FeaturesList(BaseModel):
    """A page of uploads, newest first."""

    object: Literal["list"] = "list"
    data: list[FeaturesResource]
    has_more: bool


def head_resource(record: HeadRecord) -> HeadResource:
    """Show an uploaded head."""
    head = record.head
    return HeadResource(
        id=record.id,
        created_at=timestamp(record.created_at),
        class_names=[entry.name for entry in head.class_names],
        class_count=len(head.class_names),
        **dict(head.shape),
        **head.model_dump(include={"sha256", "bytes", "format", "metric", "scale"}),
    )


def features_resource(record: FeaturesRecord) -> FeaturesResource:
    """Show uploaded features."""
    return FeaturesResource(
        id=record.id,
        created_at=timestamp(record.created_at),
        labelled=record.features.labelled,
        **record.features.model_dump(exclude={"path", "unlabelled"}),
    )
