"""zlap: the rows it finds, the scaling it folds back, and the paper's constants."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from headgraft.models.heads.head import Head
from headgraft.models.methods.zlap.method import synthesize
from headgraft.models.methods.zlap.settings import CONSTANTS, ZlapSettings
from headgraft.models.progress import Progress
from headgraft.models.task import Task
from tests.models.builders import make_head, make_task
from tests.models.linear_relation import linear_task

USUAL = CONSTANTS["default"]
FAST = replace(
    USUAL,
    gan=replace(USUAL.gan, hidden_size=64, steps=20),
    prototypes=replace(
        USUAL.prototypes, learning_rate=3e-3, epochs=10, batch_size=128, halve_after=5
    ),
    hidden_size=64,
)


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CONSTANTS, "default", FAST)


def run(task: Task, **settings: object) -> Head:
    parsed = ZlapSettings.model_validate(settings)
    return synthesize(task, parsed, device="cpu", progress=Progress())


def found_again(task: Task, unseen: Head, true_UK: Tensor) -> float:
    """Return the share of true rows, seen from the seen mean, nearest to their own class's row."""
    mean_K = task.head.rows.mean(dim=0)
    cosine_UU = normalize(true_UK - mean_K) @ normalize(unseen.rows - mean_K).T
    return float((cosine_UU.argmax(dim=1) == torch.arange(len(true_UK))).double().mean())


def test_it_should_find_rows_that_follow_from_the_embeddings() -> None:
    task, true_UK = linear_task()

    assert found_again(task, run(task), true_UK) >= 0.6  # chance: 0.1


def test_rows_should_stand_about_as_far_from_the_seen_mean_as_seen_rows() -> None:
    task, _ = linear_task()
    mean_K = task.head.rows.mean(dim=0)

    distance_U = (run(task).rows - mean_K).norm(dim=1)

    assert 0.5 < float(distance_U.mean() / (task.head.rows - mean_K).norm(dim=1).mean()) < 2


@pytest.mark.parametrize(("bias", "carried"), [(True, True), (False, False)])
def test_features_should_be_scaled_only_where_a_bias_carries_the_offset(
    bias: bool, carried: bool
) -> None:
    task = make_task(make_head(bias=bias), size=6)

    plain, scaled = run(task), run(task, scale_features=True)

    assert torch.equal(plain.rows, scaled.rows) != carried
    if plain.bias is not None and scaled.bias is not None:
        assert float(plain.bias.std()) < 1e-6 < float(scaled.bias.std())


def test_an_r_that_favours_unseen_classes_should_change_their_rows() -> None:
    task = make_task(size=6)

    assert not torch.equal(run(task, r=1).rows, run(task, r=1000).rows)


def test_the_paper_should_set_the_authors_values_but_for_those_given() -> None:
    settings = ZlapSettings(preset="paper", scale_features=False)
    constants = settings.constants

    assert (constants.prototypes.learning_rate, constants.prototypes.temperature) == (1e-4, 0.04)
    assert (constants.prototypes.epochs, constants.prototypes.halve_after) == (60, 30)
    assert (constants.gan.hidden_size, constants.gan.critic_steps) == (4096, 5)
    assert not constants.gan.scale_embeddings
    assert constants.virtual.count == 100
    assert settings.centre is False
    assert settings.scale_features is False
    assert ZlapSettings.model_validate(settings.model_dump()) == settings


def test_another_seed_should_give_other_rows() -> None:
    assert not torch.equal(run(make_task(size=6), seed=0).rows, run(make_task(size=6), seed=1).rows)
