"""The options of an injection, as keyword arguments of the client."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

from pydantic import JsonValue

Scalar = str | float | bool | None
TextsOrVectors = Sequence[str] | Sequence[Sequence[float]]
Entry = str | Mapping[str, str]
# In row order, as a mapping of rows and names, or in a file that lists them.
ClassNames = Sequence[Entry] | Mapping[Any, Any] | Path


class InjectionOptions(TypedDict, total=False):
    """Options of an injection; the service chooses what is left out or None."""

    features_id: str | None
    class_names: ClassNames | None
    method: str | None
    settings: Mapping[str, JsonValue] | None
    class_embeddings: Mapping[str, Scalar | TextsOrVectors] | None
    head: Mapping[str, Scalar] | None
    key: str | None
    allow_ungrown: Sequence[str] | None
    calibration: Mapping[str, Scalar] | None
    network: Mapping[str, str] | None
    attention_of: Sequence[int] | None
    allow_twins: bool | None
    timeout_seconds: int | None
    deadline_seconds: int | None
    metadata: Mapping[str, str] | None
    reuse: bool | None
