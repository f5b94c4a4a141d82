"""Calibration: the length of synthesized rows."""

import torch
from torch.nn.functional import cosine_similarity

from headgraft.models.heads.rows import equal_distance, regression_rows, restore_norms, span
from tests.models.builders import make_head


def test_equal_distance_should_keep_directions_from_the_mean_row() -> None:
    seen_SK, rows_UK = torch.randn(9, 5), torch.randn(4, 5)
    mean_K = seen_SK.mean(dim=0)

    placed_UK = equal_distance(rows_UK, seen_SK, 1.3)

    distance = 1.3 * (seen_SK - mean_K).norm(dim=1).mean()
    torch.testing.assert_close((placed_UK - mean_K).norm(dim=1), distance.expand(4))
    torch.testing.assert_close(
        cosine_similarity(placed_UK - mean_K, rows_UK - mean_K), torch.ones(4)
    )


def test_a_linear_head_should_be_seen_as_it_is() -> None:
    head = make_head()

    assert torch.equal(regression_rows(head, "cpu"), head.rows.double())
    assert torch.equal(restore_norms(head.rows, head), head.rows)


def test_a_cosine_head_should_be_seen_with_unit_weights_and_its_bias() -> None:
    head = make_head(metric="cosine")
    assert head.bias is not None

    rows_SK = regression_rows(head, "cpu")

    torch.testing.assert_close(rows_SK[:, :-1].norm(dim=1), torch.ones(12, dtype=torch.float64))
    assert torch.equal(rows_SK[:, -1], head.bias.double())


def test_restored_weights_of_a_cosine_head_should_have_the_seen_mean_norm() -> None:
    head = make_head(metric="cosine")

    rows_UK = restore_norms(torch.randn(3, 7), head)

    torch.testing.assert_close(
        rows_UK[:, :-1].norm(dim=1), head.weight.norm(dim=1).mean().expand(3)
    )


def test_coordinates_in_the_span_should_keep_distances_and_lose_nothing() -> None:
    rows_SK = torch.randn(5, 9)

    basis_KR = span(rows_SK)

    assert basis_KR.shape == (9, 5)
    torch.testing.assert_close(rows_SK @ basis_KR @ basis_KR.T, rows_SK)
    torch.testing.assert_close(
        torch.cdist(rows_SK @ basis_KR, rows_SK @ basis_KR), torch.cdist(rows_SK, rows_SK)
    )


def test_as_many_rows_as_numbers_should_be_left_as_they_are() -> None:
    assert torch.equal(span(torch.randn(9, 5)), torch.eye(5))
