"""What a worker announces of itself."""

from typing import Any

from pydantic import BaseModel, Field


class Presence(BaseModel):
    """What a worker announces: device, versions, and its encoders' name -> dimension, digest."""

    name: str
    device: str
    versions: dict[str, str] = Field(default_factory=dict)
    encoders: dict[str, dict[str, Any]] = Field(default_factory=dict)
