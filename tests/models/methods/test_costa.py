"""COSTA: averages by dot products, worked out by hand."""

import torch

from headgraft.models.heads.head import Head
from headgraft.models.methods.costa import CostaSettings, synthesize
from headgraft.models.progress import Progress
from headgraft.models.task import Task
from tests.models.builders import make_head, make_task


def run(task: Task, **settings: object) -> Head:
    parsed = CostaSettings.model_validate(settings)
    return synthesize(task, parsed, device="cpu", progress=Progress())


def test_a_one_hot_embedding_should_get_its_seen_row() -> None:
    head = make_head(classes=5)
    task = Task(head, torch.eye(5), 3 * torch.eye(5)[1:3], ("one", "two"))

    rows_UK = run(task).rows

    torch.testing.assert_close(rows_UK, head.rows[1:3] / 1.0001)


def test_an_embedding_between_two_should_get_the_rows_mean_bias_included() -> None:
    head = make_head(classes=5)
    task = Task(head, torch.eye(5), torch.tensor([[1.0, 0, 0, 1, 0]]), ("between",))

    row_K = run(task, guard=1e-12).rows[0]

    torch.testing.assert_close(row_K, (head.rows[0] + head.rows[3]) / 2)


def test_negative_dot_products_should_count_as_nothing() -> None:
    head = make_head(classes=3)
    seen_SA = torch.tensor([[1.0, 0], [-1, 0], [-1, 0.1]])
    task = Task(head, seen_SA, torch.tensor([[1.0, 0]]), ("new",))

    torch.testing.assert_close(run(task, guard=1e-12).rows[0], head.rows[0])


def test_a_class_unlike_all_should_get_the_mean_row() -> None:
    head = make_head(classes=3)
    task = Task(head, torch.ones(3, 2), -torch.ones(1, 2), ("new",))

    torch.testing.assert_close(run(task).rows[0], head.rows.mean(dim=0))


def test_release_should_leave_a_mean_norm_of_a_tenth() -> None:
    task = make_task()

    norms_U = run(task, rescale="release").rows.norm(dim=1)

    torch.testing.assert_close(norms_U.mean(), torch.tensor(0.1))
