"""Where calibration puts rows."""

import pytest
import torch

from headgraft.models.methods import ridge
from headgraft.models.progress import Progress
from headgraft.models.selection.calibrate import (
    Calibration,
    Origin,
    origin_of,
    place,
    present_scale,
    survey,
)
from headgraft.models.selection.leave_out import leave_out
from tests.models.builders import make_head, make_task


def test_placed_rows_should_keep_their_direction_and_take_the_distance() -> None:
    head = make_head()
    ground, raw = survey(head, None), make_head(classes=4, seed=5)
    mean_K = head.rows.mean(dim=0)

    placed = place(ground, raw, Origin(mean_K), Calibration(1.5))

    offsets, before = placed.rows - mean_K, raw.rows - mean_K
    torch.testing.assert_close(
        offsets.norm(dim=1), torch.full((4,), 1.5 * ground.distance), rtol=1e-4, atol=1e-4
    )
    assert torch.cosine_similarity(offsets, before).min() > 0.9999
    assert present_scale(ground, placed, Origin(mean_K)) == pytest.approx(1.5, rel=1e-3)


def test_a_bias_shift_should_move_the_bias_alone() -> None:
    head = make_head()
    ground, raw, mean_K = survey(head, None), make_head(classes=4, seed=5), head.rows.mean(dim=0)

    still = place(ground, raw, Origin(mean_K), Calibration(1.0))
    moved = place(ground, raw, Origin(mean_K), Calibration(1.0, bias_shift=-2.0))

    assert still.bias is not None
    assert moved.bias is not None
    torch.testing.assert_close(moved.bias, still.bias - 2)
    assert torch.equal(moved.weight, still.weight)


def test_only_a_weak_head_should_be_taken_for_one_with_errors_in_its_rows() -> None:
    strong, weak = survey(make_head(), 0.9), survey(make_head(), 0.4)

    assert strong.features.errors is None
    assert weak.features.errors is not None
    assert weak.features.head_accuracy == pytest.approx(0.4, abs=0.02)


def test_rows_of_another_origin_should_be_seen_from_their_own_mean_and_keep_their_lengths() -> None:
    task = make_task(make_head(classes=40))
    ground = survey(task.head, None)
    left_out = leave_out(task, ridge.METHOD.parse({}), device="cpu", progress=Progress())
    mean_K = task.head.rows.mean(dim=0)
    own = origin_of(ground, left_out)
    torch.testing.assert_close(own.point_K, mean_K)
    assert own.length is None

    left_out.rows_SK.add_(50)
    foreign = origin_of(ground, left_out)

    torch.testing.assert_close(foreign.point_K, left_out.rows_SK.mean(dim=0))
    lengths_S = foreign.directions(left_out.rows_SK).norm(dim=1)
    assert float(lengths_S.mean()) == pytest.approx(1)
    assert float(lengths_S.std()) > 0.05


@pytest.mark.parametrize("count", [1, 3])
def test_a_few_rows_should_not_be_taken_for_foreign_because_they_are_few(count: int) -> None:
    task = make_task(make_head(classes=40))
    ground = survey(task.head, None)
    left_out = leave_out(task, ridge.METHOD.parse({}), device="cpu", progress=Progress())
    mean_K = task.head.rows.mean(dim=0)
    left_out.rows_SK.copy_(mean_K + 3 * (task.head.rows - mean_K))
    left_out.known_S[count:] = False
    known_NK = left_out.rows_SK[left_out.known_S]
    assert (known_NK.mean(dim=0) - mean_K).norm() > ground.distance

    assert origin_of(ground, left_out).length is None
