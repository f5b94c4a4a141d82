"""What the page says of each new class, the least certain first; it knows nothing of HTML."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Part = Mapping[str, Any]
SHOWN_MAX = 60
RELATIVES = 3


@dataclass(frozen=True)
class Relative:
    """An old class and how near it is, as a cosine."""

    name: str
    cosine: float


@dataclass(frozen=True)
class ClassRow:
    """One new class; `confidence` is None where none was estimated, a norm where none is known."""

    name: str
    confidence: float | None
    warning: str | None
    advice: str | None
    by_meaning: tuple[Relative, ...]
    by_row: tuple[Relative, ...]
    norm_before: float | None
    norm_after: float | None


def class_rows(report: Part) -> list[ClassRow]:
    """Return every new class: by rising confidence, or in order where none was estimated."""
    outlook = report.get("outlook") or {}
    has_rows = report.get("kind", "rows") == "rows"
    nearest = report.get("nearest_seen_classes") or {}
    after = (report.get("norms") or {}).get("unseen") or {}
    before = dict(zip(after, report.get("raw_norms") or [], strict=False))
    names = list(after) or list(outlook) or list(nearest)
    rows = [
        ClassRow(
            name=name,
            confidence=_of(outlook, name).get("confidence"),
            warning=_of(outlook, name).get("warning"),
            advice=_of(outlook, name).get("advice"),
            by_meaning=_relatives(_of(outlook, name).get("nearest") or [])
            or (() if has_rows else _named(nearest, name)),
            by_row=_named(nearest, name) if has_rows else (),
            norm_before=before.get(name),
            norm_after=after.get(name),
        )
        for name in names
    ]
    return sorted(rows, key=_doubt)


def _doubt(row: ClassRow) -> float:
    return 1.0 if row.confidence is None else row.confidence


def _of(outlook: Part, name: str) -> Part:
    found: Part = outlook.get(name) or {}
    return found


def _named(nearest: Part, name: str) -> tuple[Relative, ...]:
    return _relatives([(one["class"], one["cosine"]) for one in nearest.get(name, [])])


def _relatives(pairs: Sequence[Sequence[Any]]) -> tuple[Relative, ...]:
    return tuple(Relative(str(name), float(cosine)) for name, cosine in pairs[:RELATIVES])
