"""What the played injection promises."""

import pytest
import torch

from headgraft.models.features.labelled import CalibrationFeatures
from headgraft.models.selection.trade_off import SCALES, ScaledRows, make_groups, simulate_injection
from headgraft.models.synthesis.simulated_features import simulate_features


def rows(classes: int = 40, features: int = 30) -> torch.Tensor:
    return torch.randn(classes, features, generator=torch.Generator().manual_seed(0))


def test_true_rows_at_their_own_distance_should_change_nothing() -> None:
    weight_SD = rows()
    mean_D = weight_SD.mean(dim=0)
    features = simulate_features(weight_SD, 0.85)
    scaled_rows = ScaledRows(mean_D, weight_SD - mean_D, unit=False)
    groups = make_groups(torch.arange(40) % 4, torch.ones(40, dtype=torch.bool), 10)

    (trade_off,) = simulate_injection(features, weight_SD, scaled_rows, groups)

    one = min(range(len(SCALES)), key=lambda at: abs(SCALES[at] - 1))
    assert float(trade_off.u_GT[:, one].mean()) == pytest.approx(0.85, abs=0.05)
    assert float(trade_off.s_GT[:, one].mean()) == pytest.approx(0.85, abs=0.05)


@pytest.mark.parametrize("unit", [False, True])
def test_a_larger_scale_should_never_help_old_classes_of_a_linear_head(unit: bool) -> None:
    weight_SD = rows()
    if unit:
        weight_SD = torch.nn.functional.normalize(weight_SD)
    mean_D = weight_SD.mean(dim=0)
    noisy = weight_SD - mean_D + 0.5 * rows().flip(0)
    groups = make_groups(torch.arange(40) % 4, torch.ones(40, dtype=torch.bool), 10)

    (trade_off,) = simulate_injection(
        simulate_features(weight_SD, 0.85), weight_SD, ScaledRows(mean_D, noisy, unit), groups
    )

    assert bool((trade_off.u_GT <= trade_off.T1_GT + 1e-6).all())
    assert bool((trade_off.s_GT <= trade_off.s_before_G[:, None] + 1e-6).all())
    if not unit:
        assert bool((trade_off.s_GT.diff(dim=1) <= 0).all())


def test_groups_should_stay_within_a_fold_and_be_as_large_as_asked() -> None:
    fold_S = torch.arange(50) % 5

    groups = make_groups(fold_S, torch.ones(50, dtype=torch.bool), 4)

    assert {len(group) for group in groups} == {4}
    assert all(len(set(fold_S[group].tolist())) == 1 for group in groups)


def test_classes_without_a_row_should_be_in_no_group() -> None:
    known_S = torch.arange(20) < 7

    groups = make_groups(torch.arange(20) % 5, known_S, 2)

    assert torch.cat(groups).max() < 7


def test_groups_should_begin_with_the_classes_that_are_shown() -> None:
    shown_S = torch.zeros(50, dtype=torch.bool)
    shown_S[:6] = True

    groups = make_groups(torch.arange(50) % 5, torch.ones(50, dtype=torch.bool), 2, shown_S=shown_S)

    assert all(bool(shown_S[group].any()) for group in groups)
    assert set(range(6)) <= set(torch.cat(groups).tolist())


def test_classes_should_count_alike_however_many_features_they_have() -> None:
    weight_SD = torch.eye(4)
    # Class 0 is always right, class 1 never.
    labels_N = torch.tensor([0, 0, 0, 0, 0, 1])
    pictures = CalibrationFeatures(weight_SD[[0, 0, 0, 0, 0, 2]], labels_N, 1.0)
    scaled_rows = ScaledRows(torch.zeros(4), -weight_SD, unit=False)

    (trade_off,) = simulate_injection(pictures, weight_SD, scaled_rows, [torch.tensor([3])])

    assert trade_off.s_before_G.tolist() == [0.5]


def test_a_shift_should_lift_injected_rows_alone() -> None:
    weight_SD = rows()
    mean_D = weight_SD.mean(dim=0)
    features = simulate_features(weight_SD, 0.85)
    scaled_rows = ScaledRows(mean_D, weight_SD - mean_D, unit=False)
    groups = make_groups(torch.arange(40) % 4, torch.ones(40, dtype=torch.bool), 10)

    down, none, up = simulate_injection(
        features, weight_SD, scaled_rows, groups, shifts=(-1e6, 0.0, 1e6)
    )

    assert float(down.u_GT.max()) == 0
    torch.testing.assert_close(down.s_GT, down.s_before_G[:, None].expand_as(down.s_GT))
    assert float(up.s_GT.max()) == 0
    torch.testing.assert_close(up.u_GT, up.T1_GT)
    torch.testing.assert_close(none.T1_GT, up.T1_GT)


@pytest.mark.parametrize("unit", [False, True])
def test_true_rows_with_their_biases_should_take_their_places_again(unit: bool) -> None:
    weight_SD, biases_S = rows(), torch.linspace(-3, 3, 40)
    if unit:
        weight_SD = torch.nn.functional.normalize(weight_SD)
    labels_N = torch.arange(40)
    logits_NS = weight_SD @ weight_SD.T + biases_S
    right = float((logits_NS.argmax(dim=1) == labels_N).float().mean())
    mean_D, mean_bias = weight_SD.mean(dim=0), float(biases_S.mean())
    scaled_rows = ScaledRows(mean_D, weight_SD - mean_D, unit, mean_bias, biases_S - mean_bias)
    groups = [torch.arange(start, start + 10) for start in range(0, 40, 10)]

    (trade_off,) = simulate_injection(
        CalibrationFeatures(weight_SD, labels_N, right),
        weight_SD,
        scaled_rows,
        groups,
        biases_S=biases_S,
    )

    one = min(range(len(SCALES)), key=lambda at: abs(SCALES[at] - 1))
    assert abs(SCALES[one] - 1) < 0.03
    assert float(trade_off.u_GT[:, one].mean()) == pytest.approx(right, abs=0.06)
    assert float(trade_off.s_GT[:, one].mean()) == pytest.approx(right, abs=0.06)
