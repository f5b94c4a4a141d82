"""What intervals from pictures promise."""

import pytest
import torch

from headgraft.models.selection.estimate import resampled
from headgraft.models.selection.trade_off import SCALES, TradeOff

AT = 10
ONE_EACH = torch.ones(100, dtype=torch.long)


def make_trade_off(hits_S: torch.Tensor, kept_S: torch.Tensor) -> TradeOff:
    """Make a trade-off of two groups in which every class fared as it is said, at all scales."""
    wide = hits_S[:, None].expand(-1, len(SCALES))
    u_GT = torch.full((2, len(SCALES)), float(hits_S.nanmean()))
    s_GT = torch.full_like(u_GT, float(kept_S.nanmean()))
    kept_ST = kept_S[:, None].expand(-1, len(SCALES))
    return TradeOff(u_GT, u_GT, s_GT, torch.ones(2), wide, wide, kept_ST)


def shares(mean: float, classes: int = 100) -> torch.Tensor:
    """Return a share of 1 for so many of the classes, 0 for the rest."""
    return (torch.arange(classes) < mean * classes).float()


def test_the_interval_should_be_that_of_a_mean_over_so_many_classes() -> None:
    found = resampled(make_trade_off(shares(0.6), shares(0.8)), ONE_EACH, AT, 50)

    low, high = found["u"][1:]
    # Binomial: the mean of 100 hidden classes and of 50 further ones, and the pictures' noise.
    half = 1.645 * (0.6 * 0.4 * (1 / 100 + 1 / 50 + 1 / 100)) ** 0.5
    assert found["u"][0] == pytest.approx(0.6)
    assert low == pytest.approx(0.6 - half, abs=0.02)
    assert high == pytest.approx(0.6 + half, abs=0.02)


def test_old_classes_are_no_others_so_their_interval_should_be_narrower() -> None:
    found = resampled(make_trade_off(shares(0.6), shares(0.6)), ONE_EACH, AT, 10)

    assert found["s"][2] - found["s"][1] < 0.7 * (found["u"][2] - found["u"][1])


def test_more_pictures_should_narrow_an_interval_and_more_new_classes_too() -> None:
    few, many = ONE_EACH, torch.full((100,), 50)
    trade_off = make_trade_off(shares(0.5), shares(0.5))

    def width(pictures: torch.Tensor, unseen: int) -> float:
        _, low, high = resampled(trade_off, pictures, AT, unseen)["u"]
        return high - low

    assert width(many, 50) < width(few, 50)
    assert width(few, 50) < width(few, 5)


def test_classes_that_were_all_recognised_should_not_close_the_interval() -> None:
    found = resampled(make_trade_off(shares(1.0, 20), shares(1.0, 20)), ONE_EACH[:20], AT, 10)

    assert found["u"][2] == 1
    assert 0.8 < found["u"][1] < 0.99


def test_classes_without_a_picture_should_not_count() -> None:
    hits_S = shares(0.5)
    hits_S[20:50] = torch.nan  # of the recognised ones
    pictures_S = (~hits_S.isnan()).long()

    found = resampled(make_trade_off(hits_S, shares(0.5)), pictures_S, AT, 10)

    assert found["u"][0] == pytest.approx(20 / 70)


def test_h_should_be_the_harmonic_mean_and_one_class_certain_among_itself() -> None:
    found = resampled(make_trade_off(shares(0.4), shares(0.8)), ONE_EACH, AT, 1)

    assert found["H"][0] == pytest.approx(2 * 0.4 * 0.8 / 1.2)
    assert list(found["T1"]) == [1, 1, 1]
    assert list(found["u"][1:]) == [0, 1]


def test_the_same_play_should_give_the_same_interval() -> None:
    trade_off = make_trade_off(shares(0.4), shares(0.8))
    first, second = (resampled(trade_off, ONE_EACH, AT, 7) for _ in range(2))

    assert first == second
