"""What intervals from pictures promise."""

import pytest
import torch

from headgraft.models.selection import corrections
from headgraft.models.selection.estimate import AccuracyInterval, Simulation, estimate
from headgraft.models.selection.trade_off import SCALES, TradeOff

AT = 10


@pytest.fixture(autouse=True)
def _no_corrections(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out how heads differ from each other: what is left is the bootstrap's."""
    none = dict.fromkeys(corrections.CORRECTIONS["labelled"], corrections.NONE)
    monkeypatch.setitem(corrections.CORRECTIONS, "labelled", none)
    monkeypatch.setitem(corrections.KNOWN, "labelled", corrections.NONE)


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


def found(
    trade_off: TradeOff, pictures_S: torch.Tensor, unseen: int, name: str = "u"
) -> AccuracyInterval:
    """Estimate one accuracy from pictures with labels."""
    simulation = Simulation(trade_off, pictures_S, "labelled")
    figure: AccuracyInterval = getattr(estimate(simulation, AT, unseen=unseen), name)
    return figure


def test_the_interval_should_be_that_of_a_mean_over_so_many_classes() -> None:
    u = found(make_trade_off(shares(0.6), shares(0.8)), ONE_EACH, 50)

    # Binomial: the mean of 100 hidden classes and of 50 further ones, and the pictures' noise.
    half = 1.645 * (0.6 * 0.4 * (1 / 100 + 1 / 50 + 1 / 100)) ** 0.5
    assert u.value == pytest.approx(0.6)
    assert u.low == pytest.approx(0.6 - half, abs=0.02)
    assert u.high == pytest.approx(0.6 + half, abs=0.02)


def test_old_classes_are_no_others_so_their_interval_should_be_narrower() -> None:
    trade_off = make_trade_off(shares(0.6), shares(0.6))
    s, u = (found(trade_off, ONE_EACH, 10, name) for name in ("s", "u"))

    assert s.high - s.low < 0.7 * (u.high - u.low)


def test_more_pictures_should_narrow_an_interval_and_more_new_classes_too() -> None:
    few, many = ONE_EACH, torch.full((100,), 50)
    trade_off = make_trade_off(shares(0.5), shares(0.5))

    def width(pictures: torch.Tensor, unseen: int) -> float:
        u = found(trade_off, pictures, unseen)
        return u.high - u.low

    assert width(many, 50) < width(few, 50)
    assert width(few, 50) < width(few, 5)


def test_classes_that_were_all_recognised_should_not_close_the_interval() -> None:
    u = found(make_trade_off(shares(1.0, 20), shares(1.0, 20)), ONE_EACH[:20], 10)

    assert u.high == 1
    assert 0.8 < u.low < 0.99


def test_classes_without_a_picture_should_not_count() -> None:
    hits_S = shares(0.5)
    hits_S[20:50] = torch.nan  # of the recognised ones
    pictures_S = (~hits_S.isnan()).long()

    u = found(make_trade_off(hits_S, shares(0.5)), pictures_S, 10)

    assert u.value == pytest.approx(20 / 70)


def test_h_should_be_the_harmonic_mean_and_one_class_certain_among_itself() -> None:
    trade_off = make_trade_off(shares(0.4), shares(0.8))
    H, T1, u = (found(trade_off, ONE_EACH, 1, name) for name in ("H", "T1", "u"))

    assert H.value == pytest.approx(2 * 0.4 * 0.8 / 1.2)
    assert AccuracyInterval(1, 1, 1) == T1
    assert (u.low, u.high) == (0, 1)


def test_the_same_play_should_give_the_same_interval() -> None:
    trade_off = make_trade_off(shares(0.4), shares(0.8))
    first, second = (found(trade_off, ONE_EACH, 7, "H") for _ in range(2))

    assert first == second
