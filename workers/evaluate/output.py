"""Writes the accuracy of a head on labelled features for people and for programs."""

import json
from dataclasses import asdict

from headgraft.workers.evaluate.score import ClassCounts, Evaluation, EvaluationRequest

LISTED = 8
MEANING = {
    "T1": "pictures of unseen classes, among the unseen ones",
    "u": "pictures of unseen classes, among all",
    "s": "pictures of seen classes, among all",
    "H": "harmonic mean of u and s",
}


def as_text(request: EvaluationRequest, evaluation: Evaluation) -> str:
    """Write an evaluation for people, in per cent."""
    scores = asdict(evaluation.scores)
    lines = [
        f"{request.head}: {evaluation.tensors.weight}, {evaluation.tensors.feature_size} features; "
        f"{_counts('seen', evaluation.seen)}, {_counts('unseen', evaluation.unseen)}",
        "per-class means in per cent:",
        *(f"  {key:<3}{100 * scores[key]:6.1f}  {text}" for key, text in MEANING.items()),
        f"per picture, base-to-new: base {_percent(scores['base'])}, new "
        f"{_percent(scores['new'])}, harmonic mean {_percent(scores['base_to_new'])}",
        *_missing("seen", evaluation.seen),
        *_missing("unseen", evaluation.unseen),
        *(f"note: {note}" for note in evaluation.notes),
    ]
    return "\n".join(lines)


def as_json(request: EvaluationRequest, evaluation: Evaluation) -> str:
    """Return an evaluation for programs, in shares of 1."""
    document = {
        "head": str(request.head),
        "features": str(request.features),
        **asdict(evaluation.scores),
        "seen": asdict(evaluation.seen),
        "unseen": asdict(evaluation.unseen),
        "tensors": evaluation.tensors.model_dump(),
        "notes": list(evaluation.notes),
    }
    return json.dumps(document, ensure_ascii=False)


def _counts(which: str, side: ClassCounts) -> str:
    return f"{side.classes} {which} classes with {side.pictures} pictures"


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def _missing(which: str, side: ClassCounts) -> list[str]:
    names = side.without_picture
    if not names:
        return []
    shown = ", ".join(names[:LISTED])
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return [f"without a picture, so not counted: {len(names)} {which} classes: {shown}{more}"]
