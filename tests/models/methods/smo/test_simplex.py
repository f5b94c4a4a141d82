"""The nearest mix of points: exact, and unique where mixes tie."""

import pytest
import torch
from torch import Tensor

from headgraft.models.methods.smo.simplex import nearest_mix


def points(count: int, size: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, size, generator=generator, dtype=torch.float64)


def optimality_gap(points_SA: Tensor, target_A: Tensor, weights_S: Tensor) -> float:
    """Return how much a step towards the best single point would gain: 0 at the optimum."""
    residual_A = weights_S @ points_SA - target_A
    gains_S = points_SA @ residual_A
    return float(weights_S @ gains_S - gains_S.min())


def test_a_mix_within_should_be_found_with_its_weights() -> None:
    points_SA = points(8, 20)
    true_S = torch.tensor([0.5, 0, 0.3, 0, 0, 0.2, 0, 0], dtype=torch.float64)

    found_S = nearest_mix(points_SA, true_S @ points_SA)

    # Inside the hull all points are tied, and breaking the tie costs up to its weight.
    torch.testing.assert_close(found_S, true_S, rtol=0, atol=1e-6)


def test_weights_should_never_be_negative_and_sum_to_one() -> None:
    weights_S = nearest_mix(points(40, 6), 5 * points(1, 6, seed=1)[0])

    assert weights_S.min() >= 0
    assert weights_S.sum().item() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("size", [3, 12, 60])
def test_no_point_should_offer_a_way_to_come_nearer(size: int) -> None:
    points_SA, target_A = points(30, size), points(1, size, seed=1)[0]

    weights_S = nearest_mix(points_SA, target_A)

    assert optimality_gap(points_SA, target_A, weights_S) < 1e-5


def test_of_equally_near_mixes_the_most_even_should_be_taken() -> None:
    square_SA = torch.tensor([[1.0, 0], [-1, 0], [0, 1], [0, -1]], dtype=torch.float64)

    weights_S = nearest_mix(square_SA, torch.zeros(2, dtype=torch.float64))

    torch.testing.assert_close(weights_S, torch.full((4,), 0.25, dtype=torch.float64))


def test_twins_should_share_their_weight() -> None:
    points_SA = points(5, 20)

    weights_S = nearest_mix(torch.cat([points_SA, points_SA[:1]]), points_SA[0])

    assert weights_S[0].item() == pytest.approx(0.5, abs=1e-6)
    assert weights_S[5].item() == pytest.approx(0.5, abs=1e-6)


def test_points_that_all_are_the_target_should_be_mixed_evenly() -> None:
    weights_S = nearest_mix(torch.ones(4, 3, dtype=torch.float64), torch.ones(3).double())

    torch.testing.assert_close(weights_S, torch.full((4,), 0.25, dtype=torch.float64))


def test_a_lone_point_should_be_the_whole_mix() -> None:
    assert nearest_mix(points(1, 4), points(1, 4, seed=1)[0]).tolist() == [1.0]
