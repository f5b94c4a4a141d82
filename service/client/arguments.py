"""What a client may say of an injection, as a function's arguments; it sends nothing."""

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

Entry = str | Mapping[str, str]


class Wishes(TypedDict, total=False):
    """What may be said of an injection; what is left out, or None, is left to the service."""

    features_id: str | None
    class_names: Sequence[Entry] | None
    method: str | None
    settings: Mapping[str, Any] | None
    class_embeddings: Mapping[str, Any] | None
    head: Mapping[str, Any] | None
    calibration: Mapping[str, Any] | None
    attention_of: Sequence[int] | None
    timeout_seconds: int | None
    deadline_seconds: int | None
    metadata: Mapping[str, str] | None
    reuse: bool | None
