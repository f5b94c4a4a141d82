"""Ridge: what its formula promises beyond the contract."""

import math

import pytest
import torch

from headgraft.models.errors import InjectionError
from headgraft.models.heads.head import Head
from headgraft.models.methods.ridge import METHOD, RidgeSettings, synthesize
from headgraft.models.progress import Progress
from headgraft.models.task import Task
from tests.models.builders import make_head, make_task


def run(task: Task, **settings: float | bool) -> Head:
    return synthesize(
        task, RidgeSettings.model_validate(settings), device="cpu", progress=Progress()
    )


def test_it_should_match_the_formula_worked_out_by_hand() -> None:
    head = Head(torch.tensor([[1.0, 0.0], [-1.0, 0.0]]), None, ("left", "right"))
    embeddings_SA = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    task = Task(head, embeddings_SA, torch.tensor([[2.0, 0.0]]), ("new",))

    row = run(task, gamma=1, ridge=0.5, equal_distance=False, scale=1).weight[0]

    # Centred, the seen embeddings are opposite: k = 1 on the diagonal, exp(-2) off it; the new
    # class has the first one's embedding.
    off = math.exp(-2)
    assert row[0].item() == pytest.approx((1 - off) / (1.5 - off), rel=1e-6)
    assert row[1].item() == pytest.approx(0, abs=1e-7)


def test_a_class_embedded_like_a_seen_one_should_get_that_row_when_barely_regularised() -> None:
    task = make_task(size=30)
    twin = Task(task.head, task.class_embeddings_SA, task.class_embeddings_SA[3:4], ("twin",))

    rows = run(twin, ridge=1e-6, equal_distance=False, scale=1).rows

    torch.testing.assert_close(rows[0], task.head.rows[3], rtol=1e-3, atol=1e-3)


def test_every_row_should_stand_at_the_chosen_distance_from_the_mean_row() -> None:
    task = make_task()
    mean_K = task.head.rows.mean(dim=0)
    seen_distance = (task.head.rows - mean_K).norm(dim=1).mean()

    rows = run(task, scale=2.5).rows

    torch.testing.assert_close((rows - mean_K).norm(dim=1), (2.5 * seen_distance).expand(4))


def test_the_length_of_a_class_embedding_should_not_matter() -> None:
    task = make_task()
    longer = Task(
        task.head,
        task.class_embeddings_SA * torch.arange(1, 13)[:, None],
        task.unseen_class_embeddings_UA * 7,
        task.unseen_class_names,
    )

    torch.testing.assert_close(run(longer).rows, run(task).rows)


def test_the_length_of_a_cosine_heads_rows_should_not_matter() -> None:
    head = make_head(bias=False, metric="cosine")
    stretched = Head(
        head.weight * torch.arange(1, 13)[:, None], None, head.class_names, "cosine", head.scale
    )
    x_ND = torch.eye(6)

    logits = [run(make_task(one)).logits(x_ND) for one in (head, stretched)]

    torch.testing.assert_close(logits[0], logits[1])


def test_identical_class_embeddings_should_give_finite_rows() -> None:
    head = make_head()
    task = Task(head, torch.ones(12, 3), torch.ones(2, 3), ("one", "two"))

    assert torch.isfinite(run(task).rows).all()


@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf, "much"])
def test_a_ridge_that_is_not_a_positive_number_should_be_refused(value: float | str) -> None:
    with pytest.raises(InjectionError, match="'ridge'") as caught:
        METHOD.parse({"ridge": value})

    assert caught.value.pointer == "/settings/ridge"
