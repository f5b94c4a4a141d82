"""Heads of any size: few classes, many, and more than there are virtual features."""

from functools import cache
from typing import Any

import pytest
import torch
from torch.nn.functional import normalize

from headgraft.models.heads.extend import inject
from headgraft.models.heads.head import Head
from headgraft.models.methods.conse.offset import choose_offset
from headgraft.models.progress import Progress
from headgraft.models.selection.solution import Solution
from headgraft.models.selection.solve import Preferences, solve
from headgraft.models.task import Task
from tests.models.builders import candidates_of

SMALL: dict[str, dict[str, Any]] = {"icis": {"epochs": 1}}
SIZES = [
    (2, 1),
    (2, 50),
    (3, 1),
    (4, 7),
    (5, 2),  # the fewest of which some can be hidden
    (6, 50),
    (11, 1),
    (100, 1),
    (2500, 1),
]
METHODS = ["auto", "ridge", "clip_text", "icis"]
# Where a fit takes seconds, one method shows what there is to see.
LARGE = [
    ("ridge", 2500, 2),
    *(
        pytest.param(*size, marks=pytest.mark.soak)
        for size in (("ridge", 6913, 3), ("clip_text", 21_843, 2))
    ),
]


@cache
def random_task(seen: int, unseen: int) -> Task:
    """Make random rows and class embeddings, of 64 numbers both."""
    generator = torch.Generator().manual_seed(0)
    names = tuple(f"class {number}" for number in range(seen + unseen))
    return Task(
        Head(torch.randn(seen, 64, generator=generator), None, names[:seen]),
        torch.randn(seen, 64, generator=generator),
        torch.randn(unseen, 64, generator=generator),
        names[seen:],
    )


def check(task: Task, found: Solution) -> None:
    seen, unseen = task.head.class_count, len(task.unseen_class_names)
    extended = inject(task.head, found.unseen)
    assert torch.equal(extended.weight[:seen], task.head.weight)
    assert extended.class_count == seen + unseen
    figures = [found.estimate.T1, found.estimate.u, found.estimate.s, found.estimate.H]
    numbers = [number for one in figures for number in (one.low, one.value, one.high)]
    numbers += [number for point in found.curve for number in (point.u, point.s, point.H)]
    numbers += [one.confidence for one in found.confidences]
    assert all(0 <= number <= 1 for number in numbers)  # NaN is not
    assert all(line.estimate for line in found.tried if line.fits)


@pytest.mark.parametrize(
    ("method", "seen", "unseen"),
    [*((method, *size) for size in SIZES for method in METHODS), *LARGE],
)
def test_any_number_of_classes_should_be_extended(method: str, seen: int, unseen: int) -> None:
    task, preferences = random_task(seen, unseen), Preferences(budget_seconds=0.0)
    settings = SMALL.get(method, {})

    found = solve(
        task, candidates_of(task, method, settings), preferences, device="cpu", progress=Progress()
    )

    check(task, found)


@pytest.mark.parametrize("seen", [60, 4000])
def test_the_offset_of_a_semantic_head_should_rest_on_hidden_classes(seen: int) -> None:
    # Without a feature of any hidden class, the lowest offset would look as good as any.
    generator = torch.Generator().manual_seed(0)
    embeddings_SA = normalize(torch.randn(seen, 8, generator=generator))
    rows_SD = 6 * embeddings_SA @ torch.randn(8, 20, generator=generator) / 8**0.5
    head = Head(rows_SD, None, tuple(map(str, range(seen))))

    assert choose_offset(head, embeddings_SA, 1, 1.0) > 0
