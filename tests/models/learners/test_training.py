"""The steps of a training, and when it ends without looking at pictures."""

import pytest
import torch

from headgraft.models.learners.training import PlateauStopper, train_steps


def test_each_step_should_descend_and_report_the_loss_of_the_one_before() -> None:
    number = torch.nn.Parameter(torch.tensor(2.0))
    optimizer = torch.optim.SGD([number], 0.25)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.0)
    reports: list[tuple[float, str, float | None]] = []

    losses = train_steps(
        2, lambda: number**2, optimizer, lambda *report: reports.append(report), "stage", schedule
    )

    assert losses == [4.0, 1.0]
    assert reports == [(0.0, "stage", None), (0.5, "stage", 4.0)]
    assert float(number.detach()) == pytest.approx(1.0)  # the second step had a rate of 0


def epochs_until_stop(losses: list[float]) -> int | None:
    flat = PlateauStopper(2e-3)
    return next((epoch for epoch, loss in enumerate(losses, 1) if flat.add(loss)), None)


def test_a_constant_loss_should_stop_after_five_flat_epochs_from_the_22nd() -> None:
    assert epochs_until_stop([1.0] * 100) == 26


def test_a_rising_loss_should_count_as_flat() -> None:
    assert epochs_until_stop([float(epoch) for epoch in range(100)]) == 26


def test_a_falling_loss_should_go_on() -> None:
    assert epochs_until_stop([100 - 0.01 * epoch for epoch in range(1000)]) is None


def test_the_slope_should_be_measured_per_epoch() -> None:
    assert epochs_until_stop([100 - 0.0021 * epoch for epoch in range(1000)]) is None
    assert epochs_until_stop([100 - 0.0019 * epoch for epoch in range(1000)]) == 26


def test_one_steep_epoch_should_start_the_count_again() -> None:
    losses = [1.0] * 24 + [-5.0] + [-5.0] * 40

    stopped = epochs_until_stop(losses)

    # The drop stays visible in the two windows for 20 epochs, 19 of them as a fall.
    assert stopped == 24 + 19 + 5
