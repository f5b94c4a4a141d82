"""The conditional WGAN-GP on planted classes: the features it makes of classes it has not seen."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from headgraft.models.progress import Stopped
from headgraft.models.synthesis.wgan import WganConfig, synthesize_features
from tests.models.planted_classes import Planted, nearest_own_mean, planted

FAST = WganConfig(
    hidden_size=256,
    steps=300,
    batch_size=64,
    critic_steps=3,
    learning_rate=3e-3,
    positive=False,
    scale_embeddings=True,
    features_per_class=30,
)
TINY = replace(FAST, steps=2, hidden_size=16, features_per_class=3)


def run(
    task: Planted, config: WganConfig, told: list[float | None] | None = None
) -> tuple[Tensor, Tensor]:
    noted: list[float | None] = [] if told is None else told
    return synthesize_features(
        task,
        task.text_CA,
        task.unseen,
        config,
        lambda _fraction, _stage, loss: noted.append(loss),
        torch.Generator().manual_seed(0),
    )


@pytest.fixture(scope="module")
def told() -> list[float | None]:
    return []


@pytest.fixture(scope="module")
def made(told: list[float | None]) -> tuple[Tensor, Tensor]:
    """Train once, and make 30 features a class."""
    return run(planted(), FAST, told)


def test_unseen_features_should_lie_nearest_to_their_own_class(made: tuple[Tensor, Tensor]) -> None:
    assert made[0].shape == (8 * 30, 16)
    assert nearest_own_mean(planted(), *made) > 0.7  # chance: 0.125


def test_features_of_one_class_should_differ(made: tuple[Tensor, Tensor]) -> None:
    features_MD, labels_M = made

    assert len(set(map(tuple, features_MD[labels_M == 40].tolist()))) == 30


@pytest.mark.usefixtures("made")
def test_it_should_report_every_step_and_read_the_critics_loss_now_and_then(
    told: list[float | None],
) -> None:
    assert len(told) == 300
    assert sum(loss is not None for loss in told) == 19


def test_labels_should_count_all_classes_and_come_in_order() -> None:
    _, labels_M = run(planted(), TINY)

    assert labels_M.tolist() == [label for label in range(40, 48) for _ in range(3)]


def test_positive_features_should_be_none_below_zero() -> None:
    features_MD, _ = run(planted(), replace(TINY, positive=True))
    free_MD, _ = run(planted(), TINY)

    torch.testing.assert_close(features_MD.norm(dim=1), torch.ones(24))
    assert float(features_MD.min()) == 0
    assert float(free_MD.min()) < 0


def test_the_same_seed_should_make_the_same_features() -> None:
    assert all(map(torch.equal, run(planted(), TINY), run(planted(), TINY)))


def test_it_should_stop_at_the_step_it_is_told_to() -> None:
    task, calls = planted(), 0

    def stop(_fraction: float, _stage: str, _loss: float | None) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise Stopped

    with pytest.raises(Stopped):
        synthesize_features(task, task.text_CA, 8, TINY, stop, torch.Generator().manual_seed(0))

    assert calls == 2
