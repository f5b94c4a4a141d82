"""Rows mixed from seen rows, and what is done to their norms."""

import pytest
import torch

from headgraft.models.learners.mixing import Rescale, mixed_head, unit_embeddings
from tests.models.builders import make_head, make_task

WEIGHTS_US = torch.zeros(4, 12, dtype=torch.float64)
WEIGHTS_US[0, 0], WEIGHTS_US[1, 1], WEIGHTS_US[2, 2:4], WEIGHTS_US[3] = 1.0, 3.0, 0.5, 0.25


def test_weights_should_mix_weight_and_bias_alike() -> None:
    task = make_task()

    rows_UK = mixed_head(task, WEIGHTS_US, "none").rows

    torch.testing.assert_close(rows_UK, WEIGHTS_US.float() @ task.head.rows)


@pytest.mark.parametrize(("rescale", "norm"), [("seen", None), ("release", 0.1)])
def test_rescaling_should_set_the_mean_norm(rescale: Rescale, norm: float | None) -> None:
    task = make_task()

    norms_U = mixed_head(task, WEIGHTS_US, rescale).rows.norm(dim=1)

    expected = float(task.head.rows.norm(dim=1).mean()) if norm is None else norm
    assert norms_U.mean().item() == pytest.approx(expected, rel=1e-5)


def test_the_length_of_a_cosine_heads_rows_should_not_matter_to_the_mix() -> None:
    head = make_head(bias=False, metric="cosine")
    stretched = make_head(bias=False, metric="cosine")
    stretched.weight.mul_(torch.arange(1, 13)[:, None])
    features_ND = torch.eye(6)

    logits = [
        mixed_head(make_task(one), WEIGHTS_US, "none").logits(features_ND)
        for one in (head, stretched)
    ]

    torch.testing.assert_close(logits[0], logits[1])


def test_embeddings_should_come_at_unit_length() -> None:
    seen_SA, unseen_UA = unit_embeddings(make_task(), "cpu")

    torch.testing.assert_close(seen_SA.norm(dim=1), torch.ones(12, dtype=torch.float64))
    torch.testing.assert_close(unseen_UA.norm(dim=1), torch.ones(4, dtype=torch.float64))
