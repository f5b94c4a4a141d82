"""The options of an injection, as keyword arguments of the client."""

from collections.abc import Mapping, Sequence
from typing import TypedDict

from pydantic import JsonValue

Scalar = str | float | bool | None
TextsOrVectors = Sequence[str] | Sequence[Sequence[float]]
Entry = str | Mapping[str, str]


class InjectionOptions(TypedDict, total=False):
    """Options of an injection; the service chooses what is left out or None."""

    features_id: str | None
    class_names: Sequence[Entry] | None
    method: str | None
    settings: Mapping[str, JsonValue] | None
    class_embeddings: Mapping[str, Scalar | TextsOrVectors] | None
    head: Mapping[str, Scalar] | None
    calibration: Mapping[str, Scalar] | None
    network: Mapping[str, str] | None
    attention_of: Sequence[int] | None
    timeout_seconds: int | None
    deadline_seconds: int | None
    metadata: Mapping[str, str] | None
    reuse: bool | None
