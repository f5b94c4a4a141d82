"""The parts of msdn's loss, against their formulas on numbers worked out by hand."""

import math

import pytest
import torch

from headgraft.models.methods.msdn.training import distillation_loss, own_loss

LABELS = torch.tensor([0, 1])
UNSEEN = torch.tensor([False, False, True])


def some_scores(seed: int = 0) -> torch.Tensor:
    return torch.randn(2, 3, generator=torch.Generator().manual_seed(seed))


def test_without_calibration_it_should_be_the_cross_entropy_over_all_classes() -> None:
    scores_BC = some_scores()

    found = own_loss(scores_BC, LABELS, UNSEEN, margin=1.0, calibration=0.0)

    logs_BC = scores_BC.log_softmax(dim=1)
    assert found.item() == pytest.approx(-(logs_BC[0, 0] + logs_BC[1, 1]).item() / 2)


def test_calibration_should_weigh_the_mean_mass_on_unseen_classes_with_the_margin() -> None:
    even_BC = torch.zeros(2, 3)

    plain, calibrated = (
        own_loss(even_BC, LABELS, UNSEEN, margin=1.0, calibration=weight) for weight in (0.0, 0.5)
    )

    mass = math.e / (math.e + 2 / math.e)
    assert (calibrated - plain).item() == pytest.approx(-0.5 * math.log(mass))


def test_without_an_unseen_class_calibration_should_do_nothing() -> None:
    nobody = torch.zeros(3, dtype=torch.bool)

    found = own_loss(some_scores(), LABELS, nobody, margin=1.0, calibration=0.5)

    assert found == own_loss(some_scores(), LABELS, nobody, margin=1.0, calibration=0.0)


def test_distillation_should_be_the_divergence_and_the_weighted_distance() -> None:
    first_BC, second_BC = some_scores(1), some_scores(2)
    p_BC, q_BC = first_BC.softmax(dim=1), second_BC.softmax(dim=1)
    middle_BC = (p_BC + q_BC) / 2
    divergence_B = sum((one * (one / middle_BC).log()).sum(dim=1) / 2 for one in (p_BC, q_BC))
    apart_BC = first_BC - second_BC
    distance_B = (apart_BC.abs() ** 3).sum(dim=1) / apart_BC.norm(dim=1)

    found = distillation_loss(first_BC, second_BC)

    assert found.item() == pytest.approx((divergence_B + distance_B).mean().item(), rel=1e-5)


def test_nets_that_agree_should_have_nothing_to_learn_and_a_finite_gradient() -> None:
    scores_BC = some_scores().requires_grad_()

    loss = distillation_loss(scores_BC, scores_BC.detach().clone())
    loss.backward()  # type: ignore[no-untyped-call]

    assert loss.item() == pytest.approx(0, abs=1e-6)
    assert scores_BC.grad is not None
    assert torch.isfinite(scores_BC.grad).all()
