"""What a job's record says of its request, without the request's vectors and names."""

from typing import Literal

from pydantic import BaseModel, Field, JsonValue

FileFormat = Literal["safetensors", "torch"]


class HeadShape(BaseModel):
    """Where a head lies in its file, and its form; of a torch file's, null until it is read."""

    weight: str | None
    bias: str | None
    feature_size: int | None
    dtype: str | None


class HeadSummary(BaseModel):
    """The head an injection extends; of a torch file's, null until a worker has found it."""

    id: str | None
    sha256: str
    bytes: int
    format: FileFormat = "safetensors"
    feature_size: int | None
    dtype: str | None
    weight: str | None
    bias: str | None


class EmbeddingsSummary(BaseModel):
    """Where the class embeddings come from."""

    kind: Literal["names", "attributes", "embeddings"]
    encoder: str | None


class FeatureCounts(BaseModel):
    """The pictures of a file of features: how many, how many with a label, of how many classes.

    `generic` says that those without a label show anything at all.
    """

    count: int
    # Records of before features could be without labels do not count them.
    labelled: int = Field(default_factory=lambda known: known["count"])
    classes: int
    generic: bool = False


class FeaturesSummary(FeatureCounts):
    """The features that an injection may use."""

    id: str


class Summary(BaseModel):
    """The request of a job as its record keeps it."""

    method: str
    settings: dict[str, JsonValue]
    class_embeddings: EmbeddingsSummary
    seen_count: int
    unseen_count: int
    head: HeadSummary
    features: FeaturesSummary | None = None
