"""The perceptron and its training."""

import pytest
import torch
from torch import Tensor

from headgraft.models.learners.row_mlp import MlpConstants, MlpSettings, RowMlp, train
from tests.models.builders import note_losses
from tests.models.linear_relation import linear_task

CONSTANTS = MlpConstants(hidden_size=16, learning_rate=3e-3, batch_size=16, epochs=5)


class Fast(MlpSettings):
    """Settings of a small network."""

    @property
    def mlp(self) -> MlpConstants:
        return CONSTANTS


FAST = Fast()


def run(settings: MlpSettings = FAST) -> tuple[RowMlp, list[float]]:
    task, losses = linear_task()[0], list[float]()
    network = train(
        task.class_embeddings_SA,
        task.head.rows,
        settings,
        note_losses(losses),
    )
    return network, losses


def test_every_step_should_be_reported() -> None:
    assert len(run()[1]) == 5 * 5  # 80 classes in batches of 16


def test_the_same_seed_should_give_the_same_weights_and_another_others() -> None:
    first, second = run()[0].encode.weight, run()[0].encode.weight
    other = run(FAST.model_copy(update={"seed": 1}))[0].encode.weight

    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_an_extra_term_should_see_the_batch_and_enter_the_loss() -> None:
    task, shapes, losses = linear_task()[0], list[torch.Size](), list[float]()

    def extra(_network: RowMlp, target_BK: Tensor) -> Tensor:
        shapes.append(target_BK.shape)
        return torch.tensor(100.0)

    train(
        task.class_embeddings_SA,
        task.head.rows,
        FAST,
        note_losses(losses),
        extra,
    )

    assert set(shapes) == {(16, 6)}
    assert min(losses) > 100


@pytest.mark.parametrize("given", [{}, {"faithful": False}])
def test_settings_should_be_ours_unless_faithful(given: dict[str, bool]) -> None:
    assert MlpSettings.model_validate(given).mlp.learning_rate == 3e-4
    assert MlpSettings(faithful=True).mlp.learning_rate == 1e-5
