"""How a simulated trade-off is read."""

import pytest
import torch

from headgraft.models.metrics import weighted_mean
from headgraft.models.selection.estimate import Simulation, estimate, unknown_estimate
from headgraft.models.selection.trade_off import SCALES, TradeOff


def make_simulation(groups: int = 3) -> Simulation:
    """Make a trade-off whose u rises and s falls with the scale, alike in every group."""
    u_GT = torch.linspace(0, 0.8, len(SCALES)).expand(groups, -1)
    s_GT = torch.linspace(0.9, 0.1, len(SCALES)).expand(groups, -1)
    T1_GT = torch.full_like(u_GT, 0.8)
    shares_ST = torch.zeros(4, len(SCALES))
    before_G = torch.full((groups,), 0.9)
    return Simulation(TradeOff(T1_GT, u_GT, s_GT, before_G, shares_ST, shares_ST, shares_ST))


def test_the_balanced_choice_should_be_the_best_harmonic_mean() -> None:
    simulation = make_simulation()

    at = simulation.choose("balanced", None)

    H_T = weighted_mean(simulation.trade_off.u_GT, simulation.trade_off.s_GT, 1.0)[0]
    assert float(H_T[at]) == pytest.approx(float(H_T.max()), abs=0.005)


def test_preferences_should_order_the_chosen_scales() -> None:
    simulation = make_simulation()

    assert (
        simulation.choose("old", None)
        < simulation.choose("balanced", None)
        < simulation.choose("new", None)
    )


def test_a_loss_limit_should_be_used_up_but_not_exceeded() -> None:
    simulation = make_simulation()

    at = simulation.choose("balanced", 0.1)

    assert 0.9 - float(simulation.trade_off.s_GT[0, at]) <= 0.1
    assert 0.9 - float(simulation.trade_off.s_GT[0, at + 1]) > 0.1


def test_an_impossible_loss_limit_should_give_the_least_loss() -> None:
    assert make_simulation().choose("balanced", -1.0) == 0


def test_groups_that_disagree_should_widen_the_interval() -> None:
    simulation = make_simulation()
    spread = TradeOff(
        torch.tensor([0.5, 0.8, 0.9])[:, None].expand(-1, len(SCALES)),
        simulation.trade_off.u_GT,
        simulation.trade_off.s_GT,
        simulation.trade_off.s_before_G,
        *[simulation.trade_off.hits_ST] * 3,
    )

    narrow = estimate(simulation, 10, unseen=5).T1
    wide = estimate(Simulation(spread), 10, unseen=5).T1

    assert wide.high - wide.low > narrow.high - narrow.low


def test_an_unknown_estimate_should_exclude_nothing() -> None:
    found = unknown_estimate("too few classes")

    assert (found.H.low, found.H.high) == (0, 1)
    assert found.reasons == ("too few classes",)
