"""Where calibration puts rows."""

import pytest
import torch

from headgraft.models.methods import ridge
from headgraft.models.progress import Progress
from headgraft.models.selection.calibrate import (
    Calibration,
    Centring,
    build_context,
    centring_of,
    place,
    present_scale,
)
from headgraft.models.selection.leave_out import leave_out
from tests.models.builders import make_head, make_task


def test_placed_rows_should_keep_their_direction_and_take_the_distance() -> None:
    head = make_head()
    context, raw = build_context(head, None), make_head(classes=4, seed=5)
    mean_K = head.rows.mean(dim=0)

    placed = place(context, raw, Centring(mean_K), Calibration(1.5))

    offsets, before = placed.rows - mean_K, raw.rows - mean_K
    torch.testing.assert_close(
        offsets.norm(dim=1), torch.full((4,), 1.5 * context.distance), rtol=1e-4, atol=1e-4
    )
    assert torch.cosine_similarity(offsets, before).min() > 0.9999
    assert present_scale(context, placed, Centring(mean_K)) == pytest.approx(1.5, rel=1e-3)


def test_a_bias_shift_should_move_the_bias_alone() -> None:
    head = make_head()
    context, raw, mean_K = (
        build_context(head, None),
        make_head(classes=4, seed=5),
        head.rows.mean(dim=0),
    )

    still = place(context, raw, Centring(mean_K), Calibration(1.0))
    moved = place(context, raw, Centring(mean_K), Calibration(1.0, bias_shift=-2.0))

    assert still.bias is not None
    assert moved.bias is not None
    torch.testing.assert_close(moved.bias, still.bias - 2)
    assert torch.equal(moved.weight, still.weight)


def test_only_a_weak_head_should_be_taken_for_one_with_errors_in_its_rows() -> None:
    strong, weak = build_context(make_head(), 0.9), build_context(make_head(), 0.4)

    assert strong.simulated.errors is None
    assert weak.simulated.errors is not None
    assert weak.simulated.head_accuracy == pytest.approx(0.4, abs=0.02)


def test_rows_of_another_origin_should_be_seen_from_their_own_mean_and_keep_their_lengths() -> None:
    task = make_task(make_head(classes=40))
    context = build_context(task.head, None)
    held_out = leave_out(task, ridge.METHOD.parse({}), device="cpu", progress=Progress())
    mean_K = task.head.rows.mean(dim=0)
    own = centring_of(context, held_out)
    torch.testing.assert_close(own.point_K, mean_K)
    assert own.length is None

    held_out.rows_SK.add_(50)
    foreign = centring_of(context, held_out)

    torch.testing.assert_close(foreign.point_K, held_out.rows_SK.mean(dim=0))
    lengths_S = foreign.directions(held_out.rows_SK).norm(dim=1)
    assert float(lengths_S.mean()) == pytest.approx(1)
    assert float(lengths_S.std()) > 0.05


@pytest.mark.parametrize("count", [1, 3])
def test_a_few_rows_should_not_be_taken_for_foreign_because_they_are_few(count: int) -> None:
    task = make_task(make_head(classes=40))
    context = build_context(task.head, None)
    held_out = leave_out(task, ridge.METHOD.parse({}), device="cpu", progress=Progress())
    mean_K = task.head.rows.mean(dim=0)
    held_out.rows_SK.copy_(mean_K + 3 * (task.head.rows - mean_K))
    held_out.known_S[count:] = False
    known_NK = held_out.rows_SK[held_out.known_S]
    assert (known_NK.mean(dim=0) - mean_K).norm() > context.distance

    assert centring_of(context, held_out).length is None
