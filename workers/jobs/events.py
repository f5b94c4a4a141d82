"""What happened to a job, as its stream in Redis holds it."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Event:
    """One entry of a job's event stream; `id` orders and resumes it."""

    id: str
    data: dict[str, Any]
