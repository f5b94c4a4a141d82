"""wDAE: rows that a perceptron made, repaired."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from headgraft.models.learners.row_mlp import MlpConstants
from headgraft.models.methods.wdae.method import synthesize
from headgraft.models.methods.wdae.row_repair import RepairConstants, WdaeSettings
from headgraft.models.progress import Progress
from headgraft.models.task import Task
from tests.models.builders import make_head, make_task
from tests.models.linear_relation import linear_task

FAST = MlpConstants(hidden_size=64, learning_rate=3e-3, batch_size=16, epochs=150)
FAST_REPAIR = RepairConstants(width=4, epochs=40, batch_size=40)


class Fast(WdaeSettings):
    """Settings of small networks."""

    @property
    def mlp(self) -> MlpConstants:
        return FAST

    @property
    def repair(self) -> RepairConstants:
        return FAST_REPAIR


class Brief(WdaeSettings):
    """Settings of small networks that learn for a few epochs."""

    @property
    def mlp(self) -> MlpConstants:
        return replace(FAST, epochs=2)

    @property
    def repair(self) -> RepairConstants:
        return replace(FAST_REPAIR, epochs=3)


def run(task: Task, settings: WdaeSettings | None = None) -> Tensor:
    return synthesize(task, settings or Fast(), device="cpu", progress=Progress()).rows


def test_it_should_keep_the_directions_of_rows_that_follow_from_the_embeddings() -> None:
    task, true_UK = linear_task()

    assert cosine_similarity(run(task), true_UK).mean() > 0.9


def test_it_should_report_both_trainings_in_order() -> None:
    stages: list[str] = []

    progress = Progress(lambda _fraction, stage, _loss: stages.append(stage))
    synthesize(make_task(), Brief(), device="cpu", progress=progress)

    assert stages == ["training"] * 2 + ["repair"] * 3


def test_faithful_should_be_as_wide_as_the_authors_network() -> None:
    constants = WdaeSettings(faithful=True).repair

    assert constants.width == 3
    assert constants.learning_rate == 1e-5
    assert constants.batch_size > 100_000


@pytest.mark.parametrize("seen", [2, 5, 11])
def test_fewer_seen_classes_than_relatives_should_do(seen: int) -> None:
    rows_UK = run(make_task(make_head(classes=seen)), Brief())

    assert torch.isfinite(rows_UK).all()
