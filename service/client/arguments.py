"""What a client may say of an injection, as a function's arguments; it sends nothing."""

from collections.abc import Mapping, Sequence
from typing import TypedDict

from pydantic import JsonValue

Scalar = str | float | bool | None
TextsOrVectors = Sequence[str] | Sequence[Sequence[float]]
Entry = str | Mapping[str, str]


class Wishes(TypedDict, total=False):
    """What may be said of an injection; what is left out, or None, is left to the service."""

    features_id: str | None
    class_names: Sequence[Entry] | None
    method: str | None
    settings: Mapping[str, JsonValue] | None
    class_embeddings: Mapping[str, Scalar | TextsOrVectors] | None
    head: Mapping[str, Scalar] | None
    calibration: Mapping[str, Scalar] | None
    attention_of: Sequence[int] | None
    timeout_seconds: int | None
    deadline_seconds: int | None
    metadata: Mapping[str, str] | None
    reuse: bool | None
