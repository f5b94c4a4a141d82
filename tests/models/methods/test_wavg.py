"""WAvg: sums by distance, worked out by hand."""

import math

import torch

from headgraft.models.heads.head import Head
from headgraft.models.methods.wavg import WavgSettings, synthesize
from headgraft.models.progress import Progress
from headgraft.models.task import Task
from tests.models.builders import make_head, make_task


def run(task: Task, **settings: object) -> Head:
    parsed = WavgSettings.model_validate(settings)
    return synthesize(task, parsed, device="cpu", progress=Progress())


def test_identical_embeddings_should_give_the_plain_sum_of_the_seen_rows() -> None:
    head = make_head()
    task = Task(head, torch.ones(12, 3), 2 * torch.ones(1, 3), ("new",))

    torch.testing.assert_close(run(task, rescale="none").rows[0], head.rows.sum(dim=0))


def test_weights_should_fall_exponentially_with_distance_and_not_be_normalised() -> None:
    head = Head(torch.tensor([[1.0, 0.0], [0.0, 1.0]]), None, ("near", "opposite"))
    seen_SA = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    task = Task(head, seen_SA, torch.tensor([[1.0, 0.0]]), ("new",))

    row = run(task, rescale="none", sharpness=0.5).weight[0]

    torch.testing.assert_close(row, torch.tensor([1.0, math.exp(-0.5 * 2)]))


def test_every_row_should_have_the_seen_rows_mean_norm_by_default() -> None:
    task = make_task()

    norms_U, norms_S = run(task).rows.norm(dim=1), task.head.rows.norm(dim=1)

    torch.testing.assert_close(norms_U, norms_S.mean().expand(4))


def test_release_should_leave_a_mean_norm_of_a_tenth() -> None:
    norms_U = run(make_task(), rescale="release").rows.norm(dim=1)

    torch.testing.assert_close(norms_U.mean(), torch.tensor(0.1))
