"""What pictures change: the shift of injected logits, and what the estimate rests on."""

from dataclasses import replace

import pytest
import torch

from headgraft.models.features.labelled import CalibrationFeatures, calibration_features
from headgraft.models.heads.extend import inject
from headgraft.models.heads.head import Head, Metric
from headgraft.models.methods import ridge
from headgraft.models.progress import Progress
from headgraft.models.selection.calibrate import (
    NO_DIFFERENCE,
    build_context,
    choose_shift,
    simulate,
)
from headgraft.models.selection.leave_out import leave_out
from headgraft.models.selection.solution import Solution
from headgraft.models.selection.solve import Preferences, solve
from headgraft.models.task import Task
from tests.models.builders import candidates_of
from tests.models.selection.test_solve import secret_task


def pictures_of(weight_CD: torch.Tensor, each: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw noisy features about the rows' directions, all with a mean of their own."""
    generator = torch.Generator().manual_seed(seed)
    labels_N = torch.arange(len(weight_CD)).repeat_interleave(each)
    noise_ND = torch.randn(len(labels_N), weight_CD.shape[1], generator=generator)
    return 10 * (weight_CD[labels_N] + 0.1 * noise_ND) + 1, labels_N


def shown(head: Head, each: int = 5) -> CalibrationFeatures:
    return calibration_features(head, *pictures_of(head.weight, each, seed=1))


def run(task: Task, features: CalibrationFeatures | None = None) -> Solution:
    task, ridge = replace(task, features=features), candidates_of(task, "ridge", {})
    return solve(task, ridge, Preferences(), device="cpu", progress=Progress())


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("metric", ["linear", "cosine"])
def test_with_pictures_the_estimate_should_rest_on_them_and_say_so(
    bias: bool, metric: Metric
) -> None:
    task = secret_task(bias=bias, metric=metric)

    found = run(task, shown(task.head)).estimate

    assert found.pictures == 540
    assert "estimated from 540 labelled features of 108 classes" in found.reasons[0]
    assert not any("without a picture" in reason or "assumed" in reason for reason in found.reasons)
    for figure in (found.T1, found.u, found.s, found.H):
        assert 0 <= figure.low <= figure.value <= figure.high <= 1


def test_the_estimate_should_hold_for_new_classes_with_pictures_like_these() -> None:
    task = secret_task(classes=300, unseen=30, bias=True)
    # The secret's own rows of the unseen classes are those of the whole.
    whole = secret_task(classes=300, unseen=1, bias=True).head.weight
    solution = run(task, shown(task.head))

    features_ND, labels_N = pictures_of(whole[:270], 5, seed=2)
    logits_NC = inject(task.head, solution.unseen).logits(features_ND)
    s = float((logits_NC.argmax(dim=1) == labels_N).double().mean())

    assert solution.estimate.s.low - 0.02 <= s <= solution.estimate.s.high + 0.02


def test_too_few_pictures_should_not_be_used_and_that_be_said() -> None:
    task = secret_task()
    few = shown(task.head, each=1)
    few = CalibrationFeatures(few.features_NF[:10], few.labels_N[:10], few.head_accuracy)

    solution, without = run(task, few), run(task)

    assert solution.estimate.pictures == 0
    assert torch.equal(solution.unseen.weight, without.unseen.weight)
    assert "the 10 labelled features of 10 classes were not used" in solution.estimate.reasons[1]


@pytest.mark.parametrize("lift", [0.0, 3.0])
def test_a_shift_should_be_clearly_better_than_none_or_none(lift: float) -> None:
    secret = secret_task(bias=True)
    bias_S = lift * torch.rand(108, generator=torch.Generator().manual_seed(2))
    task = replace(secret, head=Head(secret.head.weight, bias_S, secret.head.class_names))
    context = build_context(task.head, None, shown(task.head))
    held_out = leave_out(task, ridge.METHOD.parse({}), device="cpu", progress=Progress())

    shift, simulation, at = choose_shift(context, held_out, 12, "balanced", None)

    none = simulate(context, held_out, 12).value("balanced").max()
    gain = float(simulation.value("balanced")[at] - none)
    assert gain > NO_DIFFERENCE if shift else gain == 0


def test_logits_that_new_classes_lack_should_be_given_to_them() -> None:
    task = secret_task(bias=True)
    # What every old class has by its bias, a scale can give to new ones only by their length.
    lifted = Head(task.head.weight, torch.full((108,), 5.0), task.head.class_names)
    even = replace(task, head=lifted)

    first, second = run(task, shown(task.head)), run(even, shown(lifted))

    assert first.calibration is not None
    assert first.calibration == second.calibration
    assert first.unseen.bias is not None
    assert second.unseen.bias is not None
    torch.testing.assert_close(second.unseen.bias, first.unseen.bias + 5, atol=1e-3, rtol=1e-3)


def test_without_pictures_or_a_bias_nothing_should_be_shifted() -> None:
    without_bias = secret_task()

    first, second = run(secret_task(bias=True)), run(without_bias, shown(without_bias.head))

    for solution in (first, second):
        assert solution.calibration is not None
        assert solution.calibration.bias_shift == 0


def test_a_head_too_small_to_hide_classes_of_should_say_that_pictures_were_not_used() -> None:
    task = secret_task(classes=5, unseen=2)

    found = run(task, shown(task.head)).estimate

    assert found.pictures == 0
    assert "labelled features were not used" in found.reasons[0]
