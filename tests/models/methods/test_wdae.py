"""wDAE: rows that a perceptron made, repaired."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from headgraft.models.methods.wdae.method import Settings, synthesize
from headgraft.models.progress import Progress
from headgraft.models.task import Task
from tests.models.builders import make_head, make_task
from tests.models.linear_relation import linear_task

FAST = {
    "hidden_size": 64,
    "learning_rate": 3e-3,
    "batch_size": 16,
    "epochs": 150,
    "repair_width": 4,
    "repair_epochs": 40,
    "repair_batch_size": 40,
}


def run(task: Task, **settings: object) -> Tensor:
    parsed = Settings.model_validate({**FAST, **settings})
    return synthesize(task, parsed, device="cpu", progress=Progress()).rows


def test_it_should_keep_the_directions_of_rows_that_follow_from_the_embeddings() -> None:
    task, true_UK = linear_task()

    assert cosine_similarity(run(task), true_UK).mean() > 0.9


def test_it_should_report_both_trainings_in_order() -> None:
    stages: list[str] = []
    parsed = Settings.model_validate({**FAST, "epochs": 2, "repair_epochs": 3})

    progress = Progress(lambda _fraction, stage, _loss: stages.append(stage))
    synthesize(make_task(), parsed, device="cpu", progress=progress)

    assert stages == ["training"] * 2 + ["repair"] * 3


def test_faithful_should_be_as_wide_as_the_authors_network() -> None:
    settings = Settings(faithful=True)

    assert settings.repair_width == 3
    assert settings.repair_learning_rate == 1e-5
    assert settings.repair_batch_size > 100_000


@pytest.mark.parametrize("seen", [2, 5, 11])
def test_fewer_seen_classes_than_relatives_should_do(seen: int) -> None:
    rows_UK = run(make_task(make_head(classes=seen)), epochs=2, repair_epochs=2)

    assert torch.isfinite(rows_UK).all()
