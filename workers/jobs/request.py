"""The parts of a request: its classes, their embeddings, and how to read the checkpoint."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from headgraft.workers.jobs.texts import AttributeName, EncoderName, Template, TensorName, Text

Row = list[float]


class Strict(BaseModel):
    """A part of a request: a field we do not have is an error, and true is no number."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class ClassEntry(Strict):
    """A class: its name and, when given, the line a text encoder reads instead of the bare name."""

    name: Text = Field(min_length=1, max_length=200)
    description: Text | None = Field(default=None, min_length=1, max_length=1000)

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
    """Class embeddings sent with the request: `seen` (S, A) and `unseen` (U, A), in class order.

    What each attribute means, if asked: a vector (A, V), or a name that a text encoder reads.
    """

    kind: Literal["attributes", "embeddings"]
    seen: list[Row]
    unseen: list[Row]
    attribute_names: list[AttributeName] | None = Field(default=None, min_length=1)
    attribute_vectors: list[Row] | None = Field(default=None, min_length=1)
    attribute_encoder: EncoderName = Field("minilm", description="For names without vectors.")

    @property
    def encoder(self) -> str | None:
        """The text encoder that must read something, if one must."""
        is_read = self.attribute_names is not None and self.attribute_vectors is None
        return self.attribute_encoder if is_read else None


class HeadFields(Strict):
    """How to read the checkpoint's head; whatever is left out is detected."""

    weight: TensorName | None = None
    bias: TensorName | None = None
    metric: Literal["linear", "cosine"] = "linear"
    scale: float = Field(default=1.0, gt=0, allow_inf_nan=False)


class NetworkFields(Strict):
    """The network that a checkpoint, sent whole, holds the weights of."""

    timm: str = Field(
        pattern=r"^[A-Za-z0-9_]{1,100}(\.[A-Za-z0-9_]{1,100})?$",
        description="Its name in timm, such as resnet50 or resnet50.a1_in1k; nothing is downloaded",
    )
