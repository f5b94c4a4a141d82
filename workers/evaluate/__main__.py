"""`python -m headgraft.workers.evaluate`: prints the accuracy of a head on labelled features.

It does not know what a picture is, nor which method made the rows.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import get_args

from headgraft.models.errors import InjectionError
from headgraft.models.heads.head import Metric
from headgraft.workers.evaluate.heads import How
from headgraft.workers.evaluate.score import Answer, Question, Side, answer
from headgraft.workers.formats.header import HeaderError

LISTED = 8
MEANING = {
    "T1": "pictures of unseen classes, among the unseen ones",
    "u": "pictures of unseen classes, among all",
    "s": "pictures of seen classes, among all",
    "H": "harmonic mean of u and s",
}


def parse(arguments: Sequence[str]) -> tuple[Question, bool]:
    """Read the command line: the question, and whether the answer is wanted as JSON."""
    parser = argparse.ArgumentParser(prog="python -m headgraft.workers.evaluate")
    parser.add_argument("head", type=Path)
    parser.add_argument("--features", type=Path, required=True)
    for name in ("names", "unseen", "splits", "label-names"):
        parser.add_argument(f"--{name}", type=Path)
    parser.add_argument("--seen-count", type=int)
    for name in ("weight", "bias"):
        parser.add_argument(f"--head-{name}", dest=name)
    parser.add_argument("--head-metric", dest="metric", choices=get_args(Metric), default="linear")
    parser.add_argument("--head-scale", dest="scale", type=float, default=1.0)
    parser.add_argument("--json", action="store_true", dest="as_json")
    options = vars(parser.parse_args(arguments))
    as_json = options.pop("as_json")
    how = How(**{name: options.pop(name) for name in ("weight", "bias", "metric", "scale")})
    return Question(**options, how=how), as_json


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


def as_json(question: Question, found: Answer) -> str:
    """Write an answer for programs, in shares of 1."""
    document = {
        "head": str(question.head),
        "features": str(question.features),
        **asdict(found.scores),
        "seen": asdict(found.seen),
        "unseen": asdict(found.unseen),
        "tensors": found.tensors.model_dump(),
        "notes": list(found.notes),
    }
    return json.dumps(document, ensure_ascii=False)


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


def main(arguments: Sequence[str]) -> int:
    """Print the answer; what the user did wrong is one line on stderr and exit code 1."""
    question, for_programs = parse(arguments)
    try:
        found = answer(question)
    except (InjectionError, HeaderError) as error:
        return _fail(str(error))
    except OSError as error:
        return _fail(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    text = as_json(question, found) if for_programs else as_text(question, found)
    sys.stdout.write(f"{text}\n")
    return 0


def _fail(sentence: str) -> int:
    sys.stderr.write(f"headgraft: {sentence}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
