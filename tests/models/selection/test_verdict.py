"""The verdict on a solved task: the level, the reason, and the step that helps most."""

from dataclasses import replace
from typing import Any, get_args

import pytest
import torch

from headgraft.models.selection import verdict as verdicts
from headgraft.models.selection.class_confidence import ClassConfidence
from headgraft.models.selection.estimate import AccuracyInterval, HeadEstimate
from headgraft.models.selection.solution import Solution
from headgraft.models.selection.solve import Preferences
from headgraft.models.selection.verdict import ClassInformation, judge
from headgraft.models.task import Task
from headgraft.workers.jobs import report
from tests.models.selection.test_known_classes import task_with_random_words
from tests.models.selection.test_solve import run, secret_task, usual

NAMES = ClassInformation(from_names=True)
CLIP = ClassInformation(from_names=True, reads_pictures=True)


def expected(H: float, pictures: int = 0) -> HeadEstimate:
    figure = AccuracyInterval(H, H, H)
    return HeadEstimate(figure, figure, figure, figure, pictures=pictures)


def solution(H: float = 0.7, *, pictures: int = 0, **outlook: Any) -> Solution:
    """Return the usual solution with another estimate, and another outlook."""
    made = usual()
    assert made.outlook is not None
    return replace(made, estimate=expected(H, pictures), outlook=replace(made.outlook, **outlook))


def classes(*at_chance: bool) -> tuple[ClassConfidence, ...]:
    return tuple(
        ClassConfidence(f"new {number}", 0.5, (), None, None, at_chance=unknown)
        for number, unknown in enumerate(at_chance)
    )


@pytest.mark.parametrize(
    ("made", "information", "level", "action"),
    [
        # Nothing was read off a picture yet.
        (solution(0.7, loss=0.0), CLIP, "good", "send_pictures"),
        (solution(0.5, loss=0.0), CLIP, "usable", "send_pictures"),
        # A picture-text encoder gains more than pictures do.
        (solution(0.5, loss=0.0), NAMES, "usable", "use_a_picture_text_encoder"),
        (solution(0.2, loss=0.0), NAMES, "poor", "use_a_picture_text_encoder"),
        # Pictures are there, and old classes lose much.
        (solution(0.5, loss=0.2, pictures=9), CLIP, "usable", "prefer_old"),
        (solution(0.5, loss=0.0, pictures=9), CLIP, "usable", "describe_the_classes"),
        (solution(0.7, loss=0.0, pictures=9), CLIP, "good", None),
        # Some classes, or all, mean nothing.
        (solution(confidences=classes(True, False)), CLIP, "good", "describe_the_classes"),
        (solution(confidences=classes(True, True)), CLIP, "at_chance", "describe_the_classes"),
        (solution(related=False), NAMES, "at_chance", "check_the_class_information"),
        (solution(related=False, untrained=True), NAMES, "at_chance", "train_the_head"),
    ],
)
def test_the_level_and_the_next_step_should_follow_from_what_is_known(
    made: Solution, information: ClassInformation, level: str, action: str | None
) -> None:
    judged = judge(made, information)

    assert judged is not None
    assert judged.level == level
    assert (judged.next_step and judged.next_step.action) == action


def test_classes_that_chance_would_tell_apart_as_well_should_be_at_chance() -> None:
    twelve = solution(0.1)

    judged = judge(twelve, NAMES)

    assert judged is not None
    assert judged.level == "at_chance"


def test_nothing_hidden_should_give_no_verdict() -> None:
    assert judge(run(secret_task(classes=6, unseen=3)), NAMES) is None


def meaningless(known: int) -> Task:
    """Return a task of which `known` new classes mean something, and one nothing."""
    task = task_with_random_words()
    generator = torch.Generator().manual_seed(1)
    rows = task.class_embeddings_SA @ torch.randn(16, 24, generator=generator)
    head = replace(task.head, weight=rows, bias=None)
    return replace(
        task,
        head=head,
        unseen_class_embeddings_UA=task.unseen_class_embeddings_UA[-known - 1 :],
        unseen_class_names=task.unseen_class_names[-known - 1 :],
    )


def test_a_class_that_means_nothing_should_not_move_the_others_and_cost_next_to_nothing() -> None:
    task = meaningless(9)
    without = replace(
        task,
        unseen_class_embeddings_UA=task.unseen_class_embeddings_UA[:-1],
        unseen_class_names=task.unseen_class_names[:-1],
    )

    alone, beside = run(without, "ridge"), run(task, "ridge")

    assert torch.equal(alone.unseen.rows, beside.unseen.rows[:-1])
    assert beside.outlook is not None
    assert beside.outlook.chance_loss <= 0.001
    judged = judge(beside, CLIP)
    assert judged is not None
    assert "nothing related to 'new 9' is known, so its row is placed where" in judged.reason
    wished = run(task, "ridge", Preferences(prefer="new"))
    assert wished.outlook is not None
    assert wished.outlook.chance_scale is None


def test_a_class_that_means_nothing_alone_should_be_expected_at_chance_with_doubt() -> None:
    solved = run(meaningless(0), "ridge")
    u = solved.estimate.u

    assert u.value < 0.1
    assert u.high - u.low > 0.15
    assert u.value == pytest.approx(solved.confidences[0].confidence)
    judged = judge(solved, NAMES)
    assert judged is not None
    assert judged.level == "at_chance"


def test_an_untrained_head_should_be_at_chance_and_promise_no_old_accuracy() -> None:
    task = secret_task(classes=200)
    weight = torch.randn(task.head.weight.shape, generator=torch.Generator().manual_seed(4))
    solved = run(replace(task, head=replace(task.head, weight=weight)), "ridge")

    assert (solved.estimate.s.low, solved.estimate.s.high) == (0, 1)
    judged = judge(solved, NAMES)
    assert judged is not None
    assert (judged.level, judged.next_step and judged.next_step.action) == (
        "at_chance",
        "train_the_head",
    )


def test_the_table_and_the_curve_should_say_what_the_estimate_says() -> None:
    made = usual()

    assert made.calibration is not None
    [point] = [one for one in made.curve if one.scale == made.calibration.scale]
    assert (point.u, point.s) == pytest.approx((made.estimate.u.value, made.estimate.s.value))
    lines = [one.estimate.H.value for one in made.tried if one.estimate]
    assert made.estimate.H.value in lines


def test_the_words_should_be_those_of_the_report() -> None:
    assert get_args(verdicts.Level) == get_args(report.Level)
    assert get_args(verdicts.Action) == get_args(report.Action)
