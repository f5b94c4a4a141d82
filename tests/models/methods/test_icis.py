"""ICIS: what it learns, beyond the contract."""

import torch
from torch.nn.functional import cosine_similarity, normalize

from models.head import Head
from models.methods.icis import Settings, synthesize
from models.progress import Progress
from models.task import Task
from tests.models.builders import make_task

FAST = {"hidden_size": 64, "learning_rate": 1e-3, "epochs": 60, "deviation": 0.2}


def run(task: Task, progress: Progress | None = None, **settings: object) -> Head:
    parsed = Settings.model_validate({**FAST, **settings})
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

    rows_UK = run(task, epochs=200).rows

    assert cosine_similarity(rows_UK, true_UK).mean() > 0.9


def test_it_should_lower_its_loss() -> None:
    task, _ = learnable_task()
    losses: list[float] = []

    def note(_fraction: float, _stage: str, loss: float | None) -> None:
        assert loss is not None
        losses.append(loss)

    run(task, Progress(note))

    assert sum(losses[-4:]) < sum(losses[:4]) / 3


def test_it_should_report_every_step() -> None:
    steps: list[float] = []

    run(make_task(), Progress(lambda fraction, _stage, _loss: steps.append(fraction)), epochs=3)

    assert len(steps) == 3  # 16 classes, one batch an epoch


def test_it_should_stop_by_itself_when_the_loss_is_flat() -> None:
    steps: list[float] = []

    run(
        make_task(),
        Progress(lambda fraction, _stage, _loss: steps.append(fraction)),
        epochs=1000,
        learning_rate=1e-12,
    )

    assert len(steps) == 26  # flat from epoch 22 on, five in a row


def test_another_seed_should_give_other_rows() -> None:
    assert not torch.equal(run(make_task(), seed=0).rows, run(make_task(), seed=1).rows)


def test_squared_error_should_learn_lengths_too() -> None:
    task, true_UK = learnable_task()

    rows_UK = run(task, loss="mse", epochs=300).rows

    assert (rows_UK - true_UK).square().mean() < true_UK.square().mean() / 4


def test_a_scale_should_fix_the_distance_from_the_mean_row() -> None:
    task = make_task()
    mean_K = task.head.rows.mean(dim=0)
    distance = (task.head.rows - mean_K).norm(dim=1).mean()

    rows_UK = run(task, scale=1.5, epochs=2).rows

    torch.testing.assert_close((rows_UK - mean_K).norm(dim=1), (1.5 * distance).expand(4))
