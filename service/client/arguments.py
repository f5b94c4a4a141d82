"""The options of an injection, as keyword arguments of the client."""

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

Entry = str | Mapping[str, str]


class InjectionOptions(TypedDict, total=False):
    """Options of an injection; the service chooses what is left out or None."""

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
