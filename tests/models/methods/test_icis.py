"""ICIS: what it learns, beyond the contract."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.nn.functional import cosine_similarity, normalize

from headgraft.models.heads.head import Head
from headgraft.models.methods.icis.method import synthesize
from headgraft.models.methods.icis.settings import IcisConstants, IcisSettings
from headgraft.models.progress import Progress
from headgraft.models.task import Task
from tests.models.builders import make_task

SMALL = IcisConstants(hidden_size=64, learning_rate=1e-3, batch_size=16, init_std=0.2)
AUTHORS: dict[str, Any] = {"faithful": True, "epochs": 60}


class Small(IcisSettings):
    """Settings of small networks."""

    @property
    def constants(self) -> IcisConstants:
        return SMALL


class Flat(IcisSettings):
    """Settings of small networks that stand still."""

    @property
    def constants(self) -> IcisConstants:
        return replace(SMALL, learning_rate=1e-12)


def run(
    task: Task,
    progress: Progress | None = None,
    kind: type[IcisSettings] = Small,
    **settings: object,
) -> Head:
    parsed = kind.model_validate(settings)
    return synthesize(task, parsed, device="cpu", progress=progress or Progress())


def learnable_task() -> tuple[Task, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    embeddings_CA = torch.randn(60, 8, generator=generator)
    rows_CK = normalize(embeddings_CA) @ torch.randn(8, 6, generator=generator)
    names = tuple(str(number) for number in range(60))
    head = Head(rows_CK[:50], None, names[:50])
    return Task(head, embeddings_CA[:50], embeddings_CA[50:], names[50:]), rows_CK[50:]


def test_it_should_find_the_directions_of_rows_that_follow_from_the_embeddings() -> None:
    task, true_UK = learnable_task()

    fast, faithful = run(task), run(task, faithful=True, epochs=200)

    assert cosine_similarity(fast.rows, true_UK).mean() > 0.9
    assert cosine_similarity(faithful.rows, true_UK).mean() > 0.9


def test_it_should_lower_its_loss() -> None:
    task, _ = learnable_task()
    losses: list[float] = []

    def note(_fraction: float, _stage: str, loss: float | None) -> None:
        assert loss is not None
        losses.append(loss)

    run(task, Progress(note), **AUTHORS)

    assert sum(losses[-4:]) < sum(losses[:4]) / 3


def test_it_should_report_every_step() -> None:
    steps: list[float] = []

    run(
        make_task(),
        Progress(lambda fraction, _stage, _loss: steps.append(fraction)),
        faithful=True,
        epochs=3,
    )

    assert len(steps) == 3  # 16 classes, one batch an epoch


def test_it_should_stop_by_itself_when_the_loss_is_flat() -> None:
    steps: list[float] = []

    run(
        make_task(),
        Progress(lambda fraction, _stage, _loss: steps.append(fraction)),
        kind=Flat,
        faithful=True,
    )

    assert len(steps) == 26  # flat from epoch 22 on, five in a row


def test_another_seed_should_give_other_rows() -> None:
    assert not torch.equal(run(make_task(), seed=0).rows, run(make_task(), seed=1).rows)


def test_squared_error_should_learn_lengths_too() -> None:
    task, true_UK = learnable_task()

    rows_UK = run(task, loss="mse", faithful=True, epochs=300).rows

    assert (rows_UK - true_UK).square().mean() < true_UK.square().mean() / 4


def test_a_scale_should_fix_the_distance_from_the_mean_row() -> None:
    task = make_task()
    mean_K = task.head.rows.mean(dim=0)
    distance = (task.head.rows - mean_K).norm(dim=1).mean()

    rows_UK = run(task, scale=1.5, epochs=2).rows

    torch.testing.assert_close((rows_UK - mean_K).norm(dim=1), (1.5 * distance).expand(4))


def test_faithful_should_mean_the_authors_constants_where_none_are_given() -> None:
    authors = IcisSettings.model_validate({"faithful": True})

    constants = authors.constants
    assert (constants.learning_rate, constants.batch_size, authors.epochs) == (1e-5, 16, 1000)
    assert not authors.centre
    assert IcisSettings.model_validate({"faithful": True, "centre": True, "epochs": 7}).epochs == 7


@pytest.mark.parametrize("terms", ["mlp", "autoencoders", "cross_terms", "all"])
@pytest.mark.parametrize("loss", ["cosine", "mse"])
def test_every_step_of_the_ablation_should_learn_directions(terms: str, loss: str) -> None:
    task, true_UK = learnable_task()

    rows_UK = run(task, terms=terms, loss=loss).rows

    assert cosine_similarity(rows_UK, true_UK).mean() > 0.8


def test_two_layers_should_learn_too() -> None:
    task, true_UK = learnable_task()

    assert cosine_similarity(run(task, layers=2).rows, true_UK).mean() > 0.8


def test_raw_class_embeddings_should_give_other_rows_than_unit_ones() -> None:
    task = make_task()

    assert not torch.equal(run(task, normalise=False).rows, run(task).rows)


def test_more_features_than_classes_should_be_trained_in_the_rows_own_span() -> None:
    task = make_task(size=5)
    wide_SK = torch.randn(task.head.class_count, 100)
    wide = Task(
        Head(wide_SK, None, task.head.class_names),
        task.class_embeddings_SA,
        task.unseen_class_embeddings_UA,
        task.unseen_class_names,
    )

    rows_UK = run(wide).rows

    basis_KS = torch.linalg.qr(wide_SK.T).Q
    torch.testing.assert_close(rows_UK @ basis_KS @ basis_KS.T, rows_UK)
