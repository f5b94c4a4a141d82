"""Calibration: the length of synthesized rows."""

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch.nn.functional import cosine_similarity

from headgraft.models.heads import checkpoint
from headgraft.models.heads.head import Head
from headgraft.models.heads.rows import (
    centre,
    equal_distance,
    regression_rows,
    restore_norms,
    span,
)
from headgraft.models.heads.stored import StoredLayer
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


def test_rows_that_were_injected_should_not_move_the_distance_of_the_next(tmp_path: Path) -> None:
    """Should keep every injection's rows at the same multiple of the trained rows' distance."""
    path = tmp_path / "0.safetensors"
    layer = StoredLayer("fc.weight", None, 6)
    save_file({"fc.weight": make_head(8, 6, bias=False).weight}, path)
    lengths = []
    for turn in range(1, 6):
        names = [str(row) for row in range(8 + 2 * turn)]
        head = checkpoint.read_head(path, layers=[layer], class_names=names[:-2])
        draw = torch.Generator().manual_seed(turn)
        rows_UK = equal_distance(torch.randn(2, 6, generator=draw), head.rows, 2.0, head)
        lengths.append(float((rows_UK - centre(head.rows, head)[0]).norm(dim=1).mean()))
        source, path = path, tmp_path / f"{turn}.safetensors"
        unseen = Head(rows_UK, None, tuple(names[-2:]))
        checkpoint.write_extended(source, path, layers=[layer], unseen=unseen, class_names=names)

    assert head.injected == tuple(range(8, 16))
    torch.testing.assert_close(torch.tensor(lengths), torch.tensor(lengths[:1] * 5))
