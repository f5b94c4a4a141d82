"""Says in words what a report's figures mean, in all and of each new class."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Part = Mapping[str, Any]
MEASURES = {
    "u": ("New classes", "A picture of a new class, among all classes old and new."),
    "s": ("Old classes", "A picture of an old class, among all classes old and new."),
    "H": ("Balance", "The harmonic mean of u and s: low as soon as one of them is."),
    "T1": ("New among new", "A picture of a new class when only the new ones are in question."),
}
PARTS = ("value", "low", "high")
NARROW = "\N{NARROW NO-BREAK SPACE}"
SHOWN_MAX = 60
RELATIVES = 3
UNESTIMATED = "this job ran without calibration: nothing was hidden, and nothing estimated"


@dataclass(frozen=True)
class Measure:
    """An expected accuracy in words; figures in per cent."""

    symbol: str
    name: str
    meaning: str
    value: str
    low: str
    high: str


@dataclass(frozen=True)
class Candidate:
    """A line of the table of what was tried; `estimate` is None where it was skipped."""

    method: str
    settings: str
    estimate: Part | None
    seconds: float
    skipped: str | None
    chosen: bool


def is_known(estimate: Part | None) -> bool:
    """Tell whether an estimate says anything: one over all of 0 to 1 does not."""
    return bool(estimate) and any(
        estimate[symbol]["low"] > 0 or estimate[symbol]["high"] < 1  # type: ignore[index]  # not None here
        for symbol in ("u", "s", "H")
    )


def headline(report: Part) -> str:
    """Say in a sentence what the customer gets."""
    added = _classes(report["unseen_count"], "new")
    estimate = report.get("estimate")
    if not is_known(estimate):
        return (
            f"The head now has {added} beside {_classes(report['seen_count'], 'old')}; "
            "what accuracy to expect is not known."
        )
    assert estimate is not None
    u, s = estimate["u"], estimate["s"]
    return (
        f"With {added} added, expect the head to recognise {_share(u)} of the pictures of new "
        f"classes and {_share(s)} of those of the {_classes(report['seen_count'], 'old')}."
    )


def reasons(report: Part) -> list[str]:
    """Say what limits the belief in the figures, or why there are none."""
    estimate = report.get("estimate") or {}
    found = [*estimate.get("reasons", ()), *(report.get("reasons") or ())]
    return found if estimate or found else [UNESTIMATED]


def measures(estimate: Part | None) -> list[Measure]:
    """Put the expected accuracies into words; none where nothing is known."""
    if not is_known(estimate):
        return []
    assert estimate is not None
    return [
        Measure(symbol, name, meaning, *(percent(estimate[symbol][p]) for p in PARTS))
        for symbol, (name, meaning) in MEASURES.items()
    ]


def candidates(report: Part) -> list[Candidate]:
    """List what was tried: the chosen first, then by falling H, what was skipped last."""
    tried = report.get("tried") or []
    chosen = _chosen(tried, report)
    lines = [
        Candidate(
            method=one["method"],
            settings=settings_text(one["settings"]),
            estimate=one["estimate"] if is_known(one["estimate"]) else None,
            seconds=one["seconds"],
            skipped=one.get("skipped"),
            chosen=number == chosen,
        )
        for number, one in enumerate(tried)
    ]
    return sorted(lines, key=lambda one: (not one.chosen, -_expected(one.estimate)))


def _chosen(tried: Sequence[Part], report: Part) -> int | None:
    """Find the line whose method and settings are those of the result, the most telling first."""
    final = (report.get("settings") or {}).items()
    fitting = [
        (len(one["settings"]), _expected(one["estimate"]), -number)
        for number, one in enumerate(tried)
        if one["method"] == report.get("method") and not one.get("skipped")
        if all(item in final for item in one["settings"].items())
    ]
    return -max(fitting)[2] if fitting else None


def _expected(estimate: Part | None) -> float:
    return float(estimate["H"]["value"]) if estimate else -1.0


def settings_text(settings: Part) -> str:
    """Write settings in a line, numbers with three digits."""
    return ", ".join(f"{name} {_shown(value)}" for name, value in settings.items())


def _shown(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def percent(share: float) -> str:
    """Write a share of 1 in whole per cent."""
    return f"{100 * share:.0f}"


def _share(figure: Part) -> str:
    value, low, high = (percent(figure[part]) for part in PARTS)
    return f"{value}{NARROW}% ({low} to {high}{NARROW}%)"


def _classes(count: int, kind: str) -> str:
    return f"{count:,} {kind} class{'' if count == 1 else 'es'}"


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
