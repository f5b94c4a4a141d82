"""Hides folds of seen classes and has a method inject them."""

from dataclasses import dataclass

import torch
from torch import Tensor

from headgraft.models.embeddings.normalise import prepare
from headgraft.models.features.folds import deal_folds
from headgraft.models.heads.extend import split
from headgraft.models.heads.head import Head
from headgraft.models.method import ParsedRows
from headgraft.models.progress import Progress
from headgraft.models.task import Task

FOLDS = 10
FOLDS_MIN = 3
# Expected seconds of all fits that hide classes, and of one, for a method that trains in no steps:
# what such a fit costs grows with the classes it hides, so that of a large head it hides fewer.
SECONDS_MAX, FIT_SECONDS_MAX = 120.0, 30.0
HIDDEN_MIN = 10  # classes of a fit, however long they take
FOLD_MAX = 1000  # classes: the closed form solves one dense system of this size a fold


@dataclass(frozen=True, eq=False)
class ReplacedHead:
    """A seen head (S rows) in place of the old one, and its classes' prepared embeddings (S, A).

    The embeddings, unlike the rows, do not depend on the old rows.
    """

    head: Head
    embeddings_SA: Tensor


@dataclass(frozen=True, eq=False)
class HeldOutPrediction:
    """Rows (S, K) predicted for hidden seen classes, each from the other folds' classes alone.

    `known_S` marks the classes that have one. Where the method replaces seen rows, `replaced` are
    those of the first fit, for hidden classes the predicted ones.
    """

    rows_SK: Tensor
    known_S: Tensor
    fold_S: Tensor
    fits: int
    replaced: ReplacedHead | None = None


def fold_count(seen: int, unseen: int) -> int:
    """Choose the number of folds: as large as the classes to inject, if that leaves enough."""
    wanted = min(FOLDS, max(FOLDS_MIN, seen // unseen))
    return min(seen, max(wanted, -(-seen // FOLD_MAX)))


def leave_out(
    task: Task,
    parsed: ParsedRows,
    *,
    device: str | torch.device,
    progress: Progress,
    fits: int = FOLDS,
) -> HeldOutPrediction:
    """Predict the rows of hidden seen classes, in at most `fits` fits of the method.

    A method with a `leave_out` of its own hides every fold at the cost of about one fit. Another
    is fitted once per fold; with fewer fits than folds, the rest of the classes get no row. Nor do
    some where a method without training would take minutes: by what it expects, not by the clock.
    """
    seen_SA, _ = prepare(task.class_embeddings_SA, task.class_embeddings_SA[:1], centre=True)
    folds = fold_count(task.head.class_count, len(task.unseen_class_names))
    fold_S = deal_folds(seen_SA, folds)
    if parsed.method.leave_out is not None:
        rows_SK = parsed.method.leave_out(task, parsed.settings, fold_S, device=device)
        return HeldOutPrediction(rows_SK, torch.ones(len(fold_S), dtype=torch.bool), fold_S, 1)
    rows_SK = torch.zeros_like(task.head.rows, dtype=torch.float32)
    known_S = torch.zeros(len(fold_S), dtype=torch.bool)
    replaced: ReplacedHead | None = None
    done, seconds = 0, 0.0
    while done < min(fits, folds) and seconds < SECONDS_MAX:
        hidden_S, rest, expected = _affordable(task, parsed, fold_S == done)
        done, seconds = done + 1, seconds + expected
        rows = parsed.synthesize(rest, device=device, progress=progress)
        seen, unseen = split(rest.head, rows)
        rows_SK[hidden_S], known_S[hidden_S] = unseen.rows, True
        if seen is not rest.head and replaced is None:
            replaced = ReplacedHead(_joined(task.head, seen, unseen, hidden_S), seen_SA)
    return HeldOutPrediction(rows_SK, known_S, fold_S, done, replaced)


def _affordable(task: Task, parsed: ParsedRows, hidden_S: Tensor) -> tuple[Tensor, Task, float]:
    """Return which classes a fit can hide, the first of those asked for, its task and seconds."""
    rest = hide(task, hidden_S)
    seconds = 0.0 if parsed.method.iterative else parsed.expected_seconds(rest, "cpu")
    if seconds <= FIT_SECONDS_MAX:
        return hidden_S, rest, seconds
    classes = hidden_S.nonzero()[:, 0]
    count = min(len(classes), max(HIDDEN_MIN, int(len(classes) * FIT_SECONDS_MAX / seconds)))
    first_S = torch.zeros_like(hidden_S)
    first_S[classes[:count]] = True
    return first_S, hide(task, first_S), seconds * count / len(classes)


def _joined(head: Head, seen: Head, unseen: Head, hidden_S: Tensor) -> Head:
    """Put replaced and predicted rows into the order of the classes, in float32."""
    rows_SK = torch.zeros_like(head.rows, dtype=torch.float32)
    rows_SK[~hidden_S], rows_SK[hidden_S] = seen.rows.float(), unseen.rows
    return head.with_rows(rows_SK, head.class_names)


def hide(task: Task, hidden_S: Tensor) -> Task:
    """Make the task in which the marked seen classes are the unseen ones."""
    seen, names = task.head, task.head.class_names
    kept_S = ~hidden_S
    head = Head(
        seen.weight[kept_S],
        None if seen.bias is None else seen.bias[kept_S],
        tuple(names[index] for index in kept_S.nonzero()[:, 0].tolist()),
        seen.metric,
        seen.scale,
    )
    return Task(
        head,
        task.class_embeddings_SA[kept_S],
        task.class_embeddings_SA[hidden_S],
        tuple(names[index] for index in hidden_S.nonzero()[:, 0].tolist()),
        task.text_tower,
        features=task.features and task.features.of(kept_S),
    )
