"""What a worker announces of itself."""

from pydantic import BaseModel, Field


class EncoderPresence(BaseModel):
    """A text encoder that a worker has; `kind` is the library that reads it."""

    dimension: int
    digest: str
    kind: str = "open_clip"  # a worker of an earlier release does not tell


class Presence(BaseModel):
    """What a worker announces: device, versions, and its encoders by name."""

    name: str
    device: str
    versions: dict[str, str] = Field(default_factory=dict)
    encoders: dict[str, EncoderPresence] = Field(default_factory=dict)
