"""What features without labels change in a solution, on heads with a known secret."""

from dataclasses import replace

import pytest
import torch

from headgraft.models.features.labelled import CalibrationFeatures, UnlabelledFeatures
from headgraft.models.progress import Progress
from headgraft.models.selection.estimate import LONGEST
from headgraft.models.selection.solution import Solution
from headgraft.models.selection.solve import Preferences, solve
from headgraft.models.task import Task
from tests.models.builders import candidates_of
from tests.models.selection.test_shift import pictures_of, shown
from tests.models.selection.test_solve import secret_task


def run(task: Task, seen_accuracy: float | None = None) -> Solution:
    preferences = Preferences(seen_accuracy=seen_accuracy)
    ridge = candidates_of(task, "ridge", {})
    return solve(task, ridge, preferences, device="cpu", progress=Progress())


def unlabelled(task: Task, *, generic: bool = False) -> Task:
    features_ND, _ = pictures_of(task.head.weight, 5, seed=1)
    return replace(task, unlabelled=UnlabelledFeatures(features_ND, generic))


def test_features_without_labels_should_choose_nearly_as_labelled_ones_do() -> None:
    task = secret_task(bias=True)

    guessed, labelled = run(unlabelled(task)), run(replace(task, features=shown(task.head)))

    assert guessed.estimate.ground == "unlabelled"
    assert guessed.estimate.pictures == 540
    assert "540 features without labels" in guessed.estimate.reasons[0]
    assert any("by how far its guesses lead" in reason for reason in guessed.estimate.reasons)
    assert guessed.calibration is not None
    assert labelled.calibration is not None
    assert guessed.calibration.scale == pytest.approx(labelled.calibration.scale, rel=0.15)


def test_an_accuracy_that_is_told_should_be_what_old_classes_are_expected_to_have() -> None:
    task = unlabelled(secret_task(bias=True))

    high, low = run(task, 0.95).estimate, run(task, 0.5).estimate

    assert low.s.value < high.s.value - 0.1
    assert any("taken to recognise 50 %" in reason for reason in low.reasons)


def test_generic_pictures_should_choose_a_length_and_no_bias_and_say_less() -> None:
    task = secret_task(bias=True)

    generic = run(unlabelled(task, generic=True))

    assert generic.estimate.ground == "generic"
    assert generic.calibration is not None
    assert generic.calibration.bias_shift == 0
    assert any("generic pictures" in reason for reason in generic.estimate.reasons)


def test_generic_pictures_of_nothing_that_the_head_knows_should_not_be_used_and_that_be_said() -> (
    None
):
    task = secret_task()
    features_ND = task.head.weight[:3].repeat(200, 1)

    solution, without = (
        run(replace(task, unlabelled=UnlabelledFeatures(features_ND, generic=True))),
        run(task),
    )

    assert torch.equal(solution.unseen.weight, without.unseen.weight)
    assert solution.estimate.ground == "rows"
    assert any("nearly all of them look to the head" in line for line in solution.estimate.reasons)


def test_labelled_features_should_go_first_where_they_are_enough_and_together_where_not() -> None:
    task = unlabelled(secret_task(bias=True))
    labelled = shown(task.head)
    few = CalibrationFeatures(
        labelled.features_NF[:40], labelled.labels_N[:40], labelled.head_accuracy
    )

    first, together = run(replace(task, features=labelled)), run(replace(task, features=few))

    assert (first.estimate.ground, first.estimate.pictures) == ("labelled", 540)
    assert (together.estimate.ground, together.estimate.pictures) == ("unlabelled", 580)
    assert any("were too few alone" in reason for reason in together.estimate.reasons)


def test_without_pictures_rows_should_not_be_longer_than_is_trusted() -> None:
    poor = run(secret_task(told=0.3))

    assert poor.calibration is not None
    assert poor.calibration.scale <= LONGEST * 1.03
