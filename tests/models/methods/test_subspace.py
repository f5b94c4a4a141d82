"""Subspace: what it learns, and what pulls it."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from headgraft.models.learners.row_mlp import MlpConstants
from headgraft.models.methods.subspace import SubspaceSettings, synthesize
from headgraft.models.progress import Progress
from headgraft.models.task import Task
from tests.models.builders import make_head, make_task
from tests.models.linear_relation import linear_task

FAST = MlpConstants(hidden_size=64, learning_rate=3e-3, batch_size=16, epochs=150)


class Fast(SubspaceSettings):
    """Settings of a small network."""

    @property
    def mlp(self) -> MlpConstants:
        return FAST


class Flat(SubspaceSettings):
    """Settings of a small network that stands still."""

    @property
    def mlp(self) -> MlpConstants:
        return replace(FAST, learning_rate=1e-12, epochs=1000)


def run(task: Task, **settings: object) -> Tensor:
    parsed = Fast.model_validate(settings)
    return synthesize(task, parsed, device="cpu", progress=Progress()).rows


def outside(rows_UK: Tensor, span_SK: Tensor) -> float:
    """Return the mean length of what lies outside the span of rows."""
    basis_KR = torch.linalg.qr(span_SK.T).Q
    return float((rows_UK - rows_UK @ basis_KR @ basis_KR.T).norm(dim=1).mean())


def test_it_should_find_rows_that_follow_from_the_embeddings() -> None:
    task, true_UK = linear_task()

    assert cosine_similarity(run(task), true_UK).min() > 0.95


def test_predictions_should_be_pulled_into_the_span_of_the_seen_rows() -> None:
    task = make_task(make_head(classes=4, features=30, bias=False))

    free_UK = run(task, weight=0)
    pulled_UK = run(task, weight=10)

    assert outside(pulled_UK, task.head.weight) < outside(free_UK, task.head.weight) / 3


def test_pulling_targets_should_change_no_row() -> None:
    task = make_task(make_head(classes=4, features=30))

    free, pulled = (run(task, apply_to="targets", weight=weight) for weight in (0, 1000))

    torch.testing.assert_close(pulled, free)


def test_faithful_should_set_the_authors_values_but_for_those_given() -> None:
    settings = SubspaceSettings(faithful=True)

    constants = settings.mlp
    assert (constants.learning_rate, constants.batch_size, constants.epochs) == (1e-5, 16, 1000)
    assert (settings.apply_to, settings.centre) == ("targets", False)
    assert SubspaceSettings(faithful=True, centre=True).centre


def test_faithful_settings_should_survive_a_round_trip() -> None:
    settings = SubspaceSettings(faithful=True, weight=0.5)

    assert SubspaceSettings.model_validate(settings.model_dump()) == settings


def test_it_should_lower_its_loss() -> None:
    losses: list[float] = []

    def note(_fraction: float, _stage: str, loss: float | None) -> None:
        assert loss is not None
        losses.append(loss)

    synthesize(linear_task()[0], Fast(), device="cpu", progress=Progress(note))

    assert losses[-1] < losses[0] / 10


def test_it_should_stop_by_itself_when_the_loss_is_flat() -> None:
    steps: list[float] = []

    progress = Progress(lambda fraction, _stage, _loss: steps.append(fraction))
    synthesize(make_task(), Flat(), device="cpu", progress=progress)

    assert len(steps) == 26  # one batch an epoch; flat from epoch 22 on, five in a row


@pytest.mark.parametrize("metric", ["linear", "cosine"])
def test_another_seed_should_give_other_rows(metric: str) -> None:
    head = make_head(bias=False, metric="cosine" if metric == "cosine" else "linear")

    assert not torch.equal(run(make_task(head), seed=0), run(make_task(head), seed=1))
