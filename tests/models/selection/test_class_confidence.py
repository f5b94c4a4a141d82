"""What is said of each new class."""

import dataclasses

import pytest
import torch

from headgraft.models.heads.head import Head
from headgraft.models.progress import Progress
from headgraft.models.selection.calibrate import build_context
from headgraft.models.selection.class_confidence import (
    ClassConfidence,
    class_confidences,
    estimate_of,
)
from headgraft.models.selection.estimate import AccuracyInterval, HeadEstimate
from headgraft.models.selection.known_classes import familiarity
from headgraft.models.selection.leave_out import HeldOutPrediction
from headgraft.models.selection.solve import Preferences, solve
from headgraft.models.task import Task
from tests.models.builders import candidates_of
from tests.models.selection.test_solve import secret_task


def confidences(task: Task) -> tuple[ClassConfidence, ...]:
    return solve(
        task, candidates_of(task, "ridge", {}), Preferences(), device="cpu", progress=Progress()
    ).confidences


def with_embedding(task: Task, place: int, embedding_A: torch.Tensor) -> Task:
    embeddings_UA = task.unseen_class_embeddings_UA.clone()
    embeddings_UA[place] = embedding_A
    return dataclasses.replace(task, unseen_class_embeddings_UA=embeddings_UA)


def test_every_new_class_should_have_a_confidence_and_its_relatives_nearest_first() -> None:
    task = secret_task()

    for outlook, name in zip(confidences(task), task.unseen_class_names, strict=True):
        assert outlook.name == name
        assert 0 <= outlook.confidence <= 1
        cosines = [cosine for _, cosine in outlook.nearest]
        assert len(cosines) == 5
        assert cosines == sorted(cosines, reverse=True)


def test_a_class_embedded_like_an_old_one_should_be_warned_of_by_name() -> None:
    task = secret_task()

    outlook = confidences(with_embedding(task, 2, task.class_embeddings_SA[5] * 2))[2]

    assert outlook.warning == "hard to tell from the old class 'old 5'"
    assert outlook.advice


def test_two_new_classes_embedded_alike_should_be_warned_of() -> None:
    task = secret_task()

    outlooks = confidences(with_embedding(task, 2, task.unseen_class_embeddings_UA[7]))

    assert outlooks[2].warning == "hard to tell from the new class 'new 7'"
    assert outlooks[7].warning == "hard to tell from the new class 'new 2'"


def test_a_class_with_no_relative_should_be_warned_of_and_a_description_advised() -> None:
    task = secret_task()
    seen_SA = torch.nn.functional.pad(task.class_embeddings_SA, (0, 1))
    unseen_UA = torch.nn.functional.pad(task.unseen_class_embeddings_UA, (0, 1))
    unseen_UA[0] = torch.tensor([0.0] * 16 + [1.0])
    task = Task(task.head, seen_SA, unseen_UA, task.unseen_class_names)

    outlook = confidences(task)[0]

    assert outlook.warning == "nothing related is known"
    assert "description" in str(outlook.advice)


def test_a_class_without_warning_should_have_no_advice() -> None:
    assert all(
        (outlook.warning is None) == (outlook.advice is None)
        for outlook in confidences(secret_task())
    )


def test_the_row_of_a_hidden_class_should_not_count_as_an_old_one_that_is_near() -> None:
    # Half of the rows are predicted as they are, and recognised; half lie on another class's row.
    task = secret_task(classes=41, unseen=1)
    rows_SK, own_S = task.head.rows, torch.arange(40) % 2 == 0
    held_out = HeldOutPrediction(
        torch.where(own_S[:, None], rows_SK, rows_SK.roll(1, 0)),
        torch.ones(40, dtype=torch.bool),
        torch.arange(40) % 10,
        1,
    )

    def confidence(row_K: torch.Tensor) -> float:
        unseen = Head(row_K[None], None, task.unseen_class_names)
        context = build_context(task.head, None)
        hits_S, familiar = own_S.float(), familiarity(task)
        [outlook] = class_confidences(task, context, held_out, hits_S, unseen, familiar, 0.5)
        return outlook.confidence

    apart, on_an_old_row = confidence(-rows_SK[3]), confidence(rows_SK[3])

    assert apart > on_an_old_row + 0.15


def outlooks(*confidences: float, known: float = 1.0) -> list[ClassConfidence]:
    return [
        ClassConfidence("new", known * one, (), None, None, known < 0.5, one, known)
        for one in confidences
    ]


USUAL = HeadEstimate(
    AccuracyInterval(0.6, 0.5, 0.7),
    AccuracyInterval(0.5, 0.4, 0.6),
    AccuracyInterval(0.8, 0.75, 0.85),
    AccuracyInterval(0.615, 0.53, 0.69),
)


def test_the_expected_accuracy_should_be_the_mean_of_the_classes_confidences() -> None:
    found = estimate_of(outlooks(0.2, 0.4), USUAL)

    assert found.u.value == pytest.approx(0.3)
    assert found.u.low < 0.3 < found.u.high < 0.5
    assert found.H.value == pytest.approx(2 * 0.3 * 0.8 / 1.1)
    assert (found.T1, found.s) == (USUAL.T1, USUAL.s)


def test_classes_as_confident_as_usual_should_leave_the_estimate_as_it_is() -> None:
    found = estimate_of(outlooks(0.5, 0.5), USUAL)

    for name in ("u", "s", "H", "T1"):
        expected, usual = getattr(found, name), getattr(USUAL, name)
        assert expected.low == pytest.approx(usual.low, abs=0.01)
        assert expected.high == pytest.approx(usual.high, abs=0.01)


def test_a_class_that_is_hardly_known_should_be_at_chance_with_a_wide_interval() -> None:
    found = estimate_of(outlooks(0.5, known=0.02), USUAL)

    assert found.u.value == pytest.approx(0.01)
    assert found.u.low == 0
    assert 0.1 < found.u.high < 0.3
    assert found.H.high < 0.5
