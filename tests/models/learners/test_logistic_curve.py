"""A logistic curve on signs, and what it says beyond the range it was fitted on."""

import torch

from headgraft.models.learners.logistic_curve import LogisticCurve


def fitted(**options: torch.Tensor) -> LogisticCurve:
    signs_N1 = torch.linspace(-1.5, 1.5, 200)[:, None]
    return LogisticCurve.fit(signs_N1, torch.sigmoid(4 * signs_N1[:, 0]), 1.0, **options)


def test_the_curve_should_follow_the_shares_it_was_fitted_on() -> None:
    low, middle, high = fitted().predict(torch.tensor([[-1.0], [0.0], [1.0]])).tolist()

    assert low < 0.1
    assert abs(middle - 0.5) < 0.02
    assert high > 0.9


def test_far_out_a_sign_should_lower_the_chance_but_not_raise_it() -> None:
    curve = fitted()
    edge = 3 * float(curve.deviation_F)

    far = curve.predict(torch.tensor([[-9.0], [-edge], [edge], [9.0]])).tolist()

    assert far[0] < far[1] / 100
    assert far[2] == far[3]


def test_examples_should_count_as_often_as_is_said() -> None:
    counts_N = torch.ones(200)
    counts_N[:100] = 0.1

    assert fitted(counts_N=counts_N).predict(torch.zeros(1, 1)) > 0.5
