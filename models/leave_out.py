"""Hides folds of seen classes and has a method inject them; it does not know what for."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from models import catalogue
from models.folds import deal_folds
from models.head import Head
from models.progress import Progress
from models.task import Task
from models.vectors import prepare

FOLDS = 10
FOLDS_MIN = 3
FOLD_MAX = 1000  # classes: the closed form solves one dense system of this size a fold


@dataclass(frozen=True, eq=False)
class LeftOut:
    """Rows (S, K) predicted for hidden seen classes, each from the other folds' classes alone.

    `known_S` marks the classes that have one.
    """

    rows_SK: Tensor  # noqa: N815 - shape suffix
    known_S: Tensor  # noqa: N815 - shape suffix
    fold_S: Tensor  # noqa: N815 - shape suffix
    fits: int


def fold_count(seen: int, unseen: int) -> int:
    """Choose the number of folds: as large as the classes to inject, if that leaves enough."""
    wanted = min(FOLDS, max(FOLDS_MIN, seen // unseen))
    return min(seen, max(wanted, -(-seen // FOLD_MAX)))


def leave_out(
    task: Task,
    method: str,
    settings: Mapping[str, Any],
    *,
    device: str | torch.device,
    progress: Progress,
    fits: int = FOLDS,
) -> LeftOut:
    """Predict the rows of hidden seen classes, in at most `fits` fits of the method.

    A method with a `leave_out` of its own hides every fold at the cost of about one fit. Another
    is fitted once per fold; with fewer fits than folds, the rest of the classes get no row.
    """
    module, parsed = catalogue.method(method), catalogue.parse_settings(method, dict(settings))
    seen_SA, _ = prepare(task.class_embeddings_SA, task.class_embeddings_SA[:1], centre=True)
    folds = fold_count(task.head.class_count, len(task.unseen_class_names))
    fold_S = deal_folds(seen_SA, folds)
    closed_form = getattr(module, "leave_out", None)
    if closed_form is not None:
        rows_SK = closed_form(task, parsed, fold_S, device=device)
        return LeftOut(rows_SK, torch.ones(len(fold_S), dtype=torch.bool), fold_S, 1)
    rows_SK = torch.zeros_like(task.head.rows, dtype=torch.float32)
    known_S = torch.zeros(len(fold_S), dtype=torch.bool)
    for fold in range(min(fits, folds)):
        hidden_S = fold_S == fold
        unseen = module.synthesize(hide(task, hidden_S), parsed, device=device, progress=progress)
        rows_SK[hidden_S], known_S[hidden_S] = unseen.rows, True
    return LeftOut(rows_SK, known_S, fold_S, min(fits, folds))


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
    )
