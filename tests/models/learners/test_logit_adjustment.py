"""The offsets of seen and unseen classes: known values, and what r does."""

import math

import pytest
import torch

from headgraft.models.learners.cosine_classifier import offsets


def test_the_offsets_should_be_the_log_of_a_class_frequency() -> None:
    found_C = offsets(torch.tensor([10, 30]), unseen=5, r=4)

    wanted_C = torch.tensor([0.25 * 0.8, 0.75 * 0.8, *[0.2 * 0.2] * 5]).log()
    torch.testing.assert_close(found_C, wanted_C)


def test_their_exponentials_should_sum_to_one() -> None:
    assert float(offsets(torch.tensor([3, 5, 9]), 7, 60).exp().sum()) == pytest.approx(1)


def test_a_large_r_should_weigh_down_unseen_classes_in_training_by_its_logarithm() -> None:
    counts_S = torch.full((10,), 4)

    even_C, odd_C = offsets(counts_S, 10, 1), offsets(counts_S, 10, 1000)

    gap = (odd_C[0] - odd_C[-1]) - (even_C[0] - even_C[-1])
    assert float(gap) == pytest.approx(math.log(1000), rel=1e-5)


def test_extreme_odds_should_stay_finite() -> None:
    for r in (1e-12, 1e12):
        assert torch.isfinite(offsets(torch.tensor([1, 10**7]), 3, r)).all()


def test_a_class_without_samples_should_be_refused() -> None:
    with pytest.raises(ValueError, match="seen class 1 has no sample"):
        offsets(torch.tensor([2, 0, 1]), 1, 1)


@pytest.mark.parametrize(("unseen", "r"), [(0, 1.0), (2, 0.0), (2, -1.0)])
def test_odds_and_counts_should_be_positive(unseen: int, r: float) -> None:
    with pytest.raises(ValueError, match="both must be positive"):
        offsets(torch.tensor([2]), unseen, r)
