"""What a worker announces of itself."""

from pydantic import BaseModel, Field


class EncoderPresence(BaseModel):
    """A text encoder that a worker has; `kind` is the library that reads it."""

    dimension: int
    digest: str
    kind: str = "open_clip"  # a worker of an earlier release does not tell


class LoopState(BaseModel):
    """A background thread or task: how often an error ended it, and how old its last round is.

    The age is null while it does not run. It is stuck where the age is more than it may be.
    """

    deaths: int
    age_seconds: float | None
    is_stuck: bool


class Presence(BaseModel):
    """What a worker announces: device, versions, its encoders by name, its threads by name.

    `replaced` is how many children the parent had on this device before this one.
    """

    name: str
    device: str
    versions: dict[str, str] = Field(default_factory=dict)
    encoders: dict[str, EncoderPresence] = Field(default_factory=dict)
    loops: dict[str, LoopState] = Field(default_factory=dict)
    replaced: int = 0
