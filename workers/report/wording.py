"""Says in words what a report's figures mean, in all and of each new class."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice

from pydantic import JsonValue

from headgraft.workers.jobs.report import Estimate, Figure, Report
from headgraft.workers.jobs.summary import FeatureCounts

MEASURES = {
    "u": ("New classes", "A picture of a new class, among all classes old and new."),
    "s": ("Old classes", "A picture of an old class, among all classes old and new."),
    "H": ("Balance", "The harmonic mean of u and s: low as soon as one of them is."),
    "T1": ("New among new", "A picture of a new class when only the new ones are in question."),
}
NOT_KNOWN = "?"
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
    estimate: Estimate | None
    seconds: float
    skipped: str | None
    chosen: bool


def known_estimate(estimate: Estimate | None) -> Estimate | None:
    """Return an estimate that says anything: one over all of 0 to 1 does not."""
    if estimate is None:
        return None
    return estimate if any(one.is_known for one in (estimate.u, estimate.s, estimate.H)) else None


def headline(report: Report) -> str:
    """Say in a sentence what the customer gets."""
    added, old = _classes(report.unseen_count, "new"), _classes(report.seen_count, "old")
    estimate = known_estimate(report.estimate)
    if estimate is None:
        return f"The head now has {added} beside {old}; what accuracy to expect is not known."
    new = (
        f"With {added} added, expect the head to recognise {_share(estimate.u)} of the pictures of "
        "new classes"
    )
    if not estimate.s.is_known:
        return f"{new}; what it recognises of the {old} is not known."
    return f"{new} and {_share(estimate.s)} of those of the {old}."


def features_sent(features: FeatureCounts) -> str:
    """Say in a sentence what features came with the request, used or not."""
    unlabelled = features.count - features.labelled
    show = "which show anything at all" if features.generic else "of what the head is used for"
    parts = [
        f"{features.labelled:,} labelled ones of {_classes(features.classes, 'old')}",
        f"{unlabelled:,} without a label, {show}",
    ]
    counts = (features.labelled, unlabelled)
    said = " and ".join(part for part, count in zip(parts, counts, strict=True) if count)
    return f"The request came with features of pictures: {said}."


def reasons(report: Report) -> list[str]:
    """Say what limits the belief in the figures, or why there are none."""
    if report.estimate is None:
        return report.reasons or [UNESTIMATED]
    return [*report.estimate.reasons, *report.reasons]


def measures(estimate: Estimate | None) -> list[Measure]:
    """Put the expected accuracies into words; none where nothing is known."""
    estimate = known_estimate(estimate)
    if estimate is None:
        return []
    figures = {"u": estimate.u, "s": estimate.s, "H": estimate.H, "T1": estimate.T1}
    return [
        Measure(symbol, *MEASURES[symbol], *_percentages(figure))
        for symbol, figure in figures.items()
    ]


def candidates(report: Report) -> list[Candidate]:
    """List what was tried: the chosen first, then by falling H, what was skipped last."""
    chosen = _chosen(report)
    lines = [
        Candidate(
            method=one.method,
            settings=settings_text(one.settings),
            estimate=known_estimate(one.estimate),
            seconds=one.seconds,
            skipped=one.skipped,
            chosen=number == chosen,
        )
        for number, one in enumerate(report.tried)
    ]
    return sorted(lines, key=lambda one: (not one.chosen, -_expected(one.estimate)))


def _chosen(report: Report) -> int | None:
    """Find the line whose method and settings are those of the result, the most telling first."""
    final = report.settings.items()
    fitting = [
        (len(one.settings), _expected(one.estimate), -number)
        for number, one in enumerate(report.tried)
        if one.method == report.method and not one.skipped
        if all(item in final for item in one.settings.items())
    ]
    return -max(fitting)[2] if fitting else None


def _expected(estimate: Estimate | None) -> float:
    return estimate.H.value if estimate else -1.0


def settings_text(settings: Mapping[str, JsonValue]) -> str:
    """Write settings in a line, numbers with three digits."""
    return ", ".join(f"{name} {_shown(value)}" for name, value in settings.items())


def _shown(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def percent(share: float) -> str:
    """Write a share of 1 in whole per cent."""
    return f"{100 * share:.0f}"


def _percentages(figure: Figure) -> tuple[str, str, str]:
    value = percent(figure.value) if figure.is_known else NOT_KNOWN
    return value, percent(figure.low), percent(figure.high)


def _share(figure: Figure) -> str:
    _, low, high = _percentages(figure)
    return f"{percent(figure.value)}{NARROW}% ({low} to {high}{NARROW}%)"


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


def class_rows(report: Report) -> list[ClassRow]:
    """Return every new class: by rising confidence, or in order where none was estimated."""
    after = report.norms.unseen if report.norms else {}
    before = dict(zip(after, report.raw_norms, strict=False))
    rows = [
        _class_row(report, name, before.get(name), after.get(name))
        for name in report.nearest_seen_classes
    ]
    return sorted(rows, key=_doubt)


def _class_row(
    report: Report, name: str, norm_before: float | None, norm_after: float | None
) -> ClassRow:
    expected = report.outlook.get(name)
    near = _relatives((one.class_name, one.cosine) for one in report.nearest_seen_classes[name])
    has_rows = report.kind == "rows"
    return ClassRow(
        name=name,
        confidence=expected.confidence if expected else None,
        warning=expected.warning if expected else None,
        advice=expected.advice if expected else None,
        by_meaning=_relatives(expected.nearest if expected else ()) or (() if has_rows else near),
        by_row=near if has_rows else (),
        norm_before=norm_before,
        norm_after=norm_after,
    )


def _doubt(row: ClassRow) -> float:
    return 1.0 if row.confidence is None else row.confidence


def _relatives(pairs: Iterable[tuple[str, float]]) -> tuple[Relative, ...]:
    return tuple(Relative(name, cosine) for name, cosine in islice(pairs, RELATIVES))
