"""SHIP on a tiny tower: names in, rows out, with no picture anywhere."""

from dataclasses import replace

import pytest
import torch

from headgraft.models.errors import InjectionError
from headgraft.models.heads.head import Head
from headgraft.models.methods.ship.method import METHOD, half_and_half, synthesize
from headgraft.models.methods.ship.settings import CONSTANTS, ShipSettings
from headgraft.models.progress import Progress
from headgraft.models.task import Task
from tests.models.builders import make_task
from tests.models.towers import make_tower

NAMES = ("cat", "dog", "owl", "bear", "lolly", "bridge", "violin", "teapot", "castle", "comb")
USUAL = CONSTANTS["default"]
FAST = replace(
    USUAL,
    autoencoder=replace(USUAL.autoencoder, encoder_size=16, generator_size=16, steps=5),
    classifier=replace(USUAL.classifier, steps=5, classes=4),
)


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CONSTANTS, "default", FAST)


def task_of(seen: int = 7, size: int = 16) -> Task:
    """Make a task whose head has the directions of the tower's own text."""
    tower = make_tower(size=size)
    text_CD = tower.encode(tower.prompts(NAMES), tower.context())
    text_CD = text_CD - text_CD.mean(dim=0)
    head = Head(text_CD[:seen], None, NAMES[:seen])
    return Task(head, text_CD[:seen], text_CD[seen:], NAMES[seen:], tower)


def run(task: Task, progress: Progress | None = None, **settings: object) -> Head:
    parsed = ShipSettings.model_validate(settings)
    return synthesize(task, parsed, device="cpu", progress=progress or Progress())


def test_rows_should_be_the_text_of_one_tuned_prompt_at_the_seen_rows_length(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    task = task_of()
    tuned_UD = run(task).weight
    untrained = replace(FAST, classifier=replace(FAST.classifier, steps=0))
    monkeypatch.setitem(CONSTANTS, "default", untrained)

    untuned = run(task)

    assert task.text_tower is not None
    tower, norm = task.text_tower, task.head.weight.norm(dim=1).mean()
    text_UD = tower.encode(tower.prompts(NAMES[7:]), tower.context())
    torch.testing.assert_close(untuned.weight, norm * text_UD)
    assert not torch.allclose(tuned_UD, norm * text_UD, atol=1e-3)
    torch.testing.assert_close(tuned_UD.norm(dim=1), norm.expand(3))


def test_a_task_without_a_text_tower_should_be_refused() -> None:
    with pytest.raises(InjectionError, match="name an open_clip encoder") as caught:
        run(make_task(size=6))

    assert caught.value.pointer == "/class_embeddings"
    assert METHOD.needs == {"text_tower"}


def test_a_tower_of_another_size_than_the_heads_should_be_refused() -> None:
    task = replace(make_task(size=6), text_tower=make_tower())

    with pytest.raises(InjectionError, match="6 numbers, the text has 16"):
        run(task)


def test_every_stage_should_be_reported_in_order() -> None:
    stages: list[str] = []

    run(task_of(), Progress(lambda _fraction, stage, _loss: stages.append(stage)))

    assert list(dict.fromkeys(stages)) == [
        "drawing virtual features",
        "learning to prompt",
        "drawing features",
        "tuning text",
        "reading text",
    ]
    assert stages.count("learning to prompt") == stages.count("tuning text") == 5


def test_another_seed_should_give_other_rows() -> None:
    task = task_of()

    assert torch.equal(run(task).weight, run(task).weight)
    assert not torch.equal(run(task).weight, run(task, seed=1).weight)


def test_seen_and_unseen_features_should_be_mixed_one_to_one() -> None:
    assert half_and_half(4, 2).tolist() == [0, 1, 2, 3, 4, 5, 4, 5]
    assert half_and_half(1, 3).tolist() == [0, 0, 0, 1, 2, 3]


def test_the_paper_should_set_what_is_absent() -> None:
    constants = ShipSettings(preset="paper").constants

    assert ShipSettings(preset="paper").features_per_class == 16
    assert ShipSettings(preset="paper", features_per_class=3).features_per_class == 3
    assert constants.autoencoder.steps_of(12_800) == 2500
    assert constants.autoencoder.batch_size == 256
    prompt = constants.classifier
    assert (prompt.classes, prompt.learning_rate, prompt.cosine_decay) == (0, 2e-3, True)
    assert not prompt.residual
