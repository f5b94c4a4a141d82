"""Writes the accuracy of a head on labelled features for people and for programs."""

from dataclasses import asdict
from typing import Any

from headgraft.workers.evaluate.score import Answer, Question, Side

LISTED = 8
MEANING = {
    "T1": "pictures of unseen classes, among the unseen ones",
    "u": "pictures of unseen classes, among all",
    "s": "pictures of seen classes, among all",
    "H": "harmonic mean of u and s",
}


def as_text(question: Question, found: Answer) -> str:
    """Write an answer for people, in per cent."""
    scores = asdict(found.scores)
    lines = [
        f"{question.head}: {found.tensors.weight}, {found.tensors.feature_size} features; "
        f"{_counts('seen', found.seen)}, {_counts('unseen', found.unseen)}",
        "per-class means in per cent:",
        *(f"  {key:<3}{100 * scores[key]:6.1f}  {text}" for key, text in MEANING.items()),
        f"per picture, base-to-new: base {_percent(scores['base'])}, new "
        f"{_percent(scores['new'])}, harmonic mean {_percent(scores['base_to_new'])}",
        *_missing("seen", found.seen),
        *_missing("unseen", found.unseen),
        *(f"note: {note}" for note in found.notes),
    ]
    return "\n".join(lines)


def as_document(question: Question, found: Answer) -> dict[str, Any]:
    """Return an answer for programs, in shares of 1."""
    return {
        "head": str(question.head),
        "features": str(question.features),
        **asdict(found.scores),
        "seen": asdict(found.seen),
        "unseen": asdict(found.unseen),
        "tensors": found.tensors.model_dump(),
        "notes": list(found.notes),
    }


def _counts(which: str, side: Side) -> str:
    return f"{side.classes} {which} classes with {side.pictures} pictures"


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def _missing(which: str, side: Side) -> list[str]:
    names = side.without_picture
    if not names:
        return []
    shown = ", ".join(names[:LISTED])
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return [f"without a picture, so not counted: {len(names)} {which} classes: {shown}{more}"]
