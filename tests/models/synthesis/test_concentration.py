"""How kappa is chosen: by the nearest classes, within bounds, and never too vague for the head."""

from math import pi

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from headgraft.models.synthesis.vmf import choose_kappa, sample, smallest_angle


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def fan(*angles: float) -> Tensor:
    """Return directions in a plane at these angles."""
    turned_S = torch.tensor(angles, dtype=torch.float64)
    return torch.stack([turned_S.cos(), turned_S.sin(), 0 * turned_S], dim=1)


def test_the_smallest_angle_should_be_that_of_the_nearest_pair() -> None:
    assert smallest_angle(5 * fan(0, 1, 1.3, 3)) == pytest.approx(0.3)


def test_the_smallest_angle_should_ignore_classes_of_one_text() -> None:
    assert smallest_angle(fan(0, 1, 1.3, 1.3, 1.301)) == pytest.approx(0.299, abs=2e-3)


def test_a_lone_class_should_be_a_right_angle_from_others() -> None:
    assert smallest_angle(fan(0.5)) == pytest.approx(pi / 2)


def test_kappa_should_follow_the_nearest_pair() -> None:
    start_SD = fan(0, 0.6, 2)

    assert choose_kappa(start_SD, start_SD, generator()) == pytest.approx(100, rel=1e-6)


def test_kappa_should_stay_within_bounds() -> None:
    assert choose_kappa(fan(0), fan(0), generator()) == pytest.approx(36 / (pi / 2) ** 2)
    assert choose_kappa(fan(0, 0.0201), fan(0, 2), generator()) <= 1e5


def test_kappa_should_rise_until_the_head_takes_draws_around_its_rows_for_them() -> None:
    rows_SD = normalize(torch.randn(300, 256, generator=generator()))

    kappa = choose_kappa(rows_SD, rows_SD, generator())

    drawn_SBD = sample(rows_SD, kappa, 20, generator())
    own_SB = (drawn_SBD @ rows_SD.T).argmax(dim=2) == torch.arange(300)[:, None]
    assert kappa > 36 / smallest_angle(rows_SD) ** 2
    assert float(own_SB.float().mean()) > 0.45


def test_rows_that_all_are_one_should_get_the_highest_kappa() -> None:
    assert choose_kappa(fan(0, 2, 4), fan(1, 1, 1), generator()) == 1e5
