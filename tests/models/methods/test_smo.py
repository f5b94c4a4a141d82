"""SMO: rows mixed as the embeddings are."""

import threading

import pytest
import torch
from torch.nn.functional import normalize

from headgraft.models.heads.head import Head
from headgraft.models.methods.smo.method import SmoSettings, synthesize
from headgraft.models.progress import Progress, Stopped
from headgraft.models.task import Task
from tests.models.builders import make_head, make_task


def run(task: Task, **settings: object) -> Head:
    parsed = SmoSettings.model_validate(settings)
    return synthesize(task, parsed, device="cpu", progress=Progress())


def test_an_embedding_that_a_seen_class_has_should_get_its_row() -> None:
    head = make_head()
    seen_SA = normalize(torch.randn(12, 30, generator=torch.Generator().manual_seed(2)))
    task = Task(head, seen_SA, seen_SA[[3, 7]], ("three", "seven"))

    torch.testing.assert_close(run(task).rows, head.rows[[3, 7]])


def test_one_half_of_two_opposite_relatives_should_be_found() -> None:
    head = make_head(classes=3)
    seen_SA = torch.tensor([[0.6, 0.8], [0.6, -0.8], [-1.0, 0.0]])
    task = Task(head, seen_SA, torch.tensor([[1.0, 0.0]]), ("between",))

    torch.testing.assert_close(run(task).rows[0], (head.rows[0] + head.rows[1]) / 2)


def test_ties_should_be_broken_towards_an_even_mix() -> None:
    head = make_head(classes=4)
    task = Task(head, torch.ones(4, 2), torch.ones(1, 2), ("new",))

    torch.testing.assert_close(run(task).rows[0], head.rows.mean(dim=0))


def test_it_should_stop_between_two_classes() -> None:
    should_stop, fractions = threading.Event(), list[float]()

    def stop_at_the_second(fraction: float, _stage: str, _loss: float | None) -> None:
        fractions.append(fraction)
        if len(fractions) == 2:
            should_stop.set()

    progress = Progress(stop_at_the_second, should_stop)
    with pytest.raises(Stopped):
        synthesize(make_task(), SmoSettings(), device="cpu", progress=progress)

    assert fractions == [0, 0.25]
