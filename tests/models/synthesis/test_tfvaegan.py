"""TF-VAEGAN on planted classes: the features it makes of classes it has not seen."""

from dataclasses import replace
from math import isfinite

import pytest
import torch
from torch import Tensor

from headgraft.models.features.labelled import LabelledFeatures
from headgraft.models.progress import Stopped, ignore
from headgraft.models.synthesis.tfvaegan import (
    TfvaeganConfig,
    synthesize_features,
    train,
    weighted_l1,
)
from tests.models.planted_classes import nearest_own_mean, planted

FAST = TfvaeganConfig(
    hidden_size=128,
    code_size=16,
    epochs=2,
    steps=20,
    critic_steps=3,
    critic_rate=1e-3,
    generator_rate=1e-3,
    encoder_rate=1e-3,
    decoder_rate=2e-3,
    feedback_rate=1e-3,
    features_per_class=50,
)
TINY = replace(FAST, epochs=1, steps=2, hidden_size=16, features_per_class=3)


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture(scope="module")
def made() -> tuple[Tensor, Tensor]:
    """Train once, and make 50 features a class."""
    task = planted()
    return synthesize_features(task, task.text_CA, task.unseen, FAST, ignore, seeded())


def test_unseen_features_should_lie_nearest_to_their_own_class(made: tuple[Tensor, Tensor]) -> None:
    assert made[0].shape == (8 * 50, 16)
    torch.testing.assert_close(made[0].norm(dim=1), torch.ones(400))
    assert nearest_own_mean(planted(), *made) > 0.8  # chance: 0.125


def test_labels_should_count_all_classes_and_come_in_order() -> None:
    task = planted()

    _, labels_M = synthesize_features(task, task.text_CA, task.unseen, TINY, ignore, seeded())

    assert labels_M.tolist() == [label for label in range(40, 48) for _ in range(3)]


def test_features_of_one_class_should_differ(made: tuple[Tensor, Tensor]) -> None:
    features_MD, labels_M = made

    assert len(set(map(tuple, features_MD[labels_M == 40].tolist()))) == 50


def test_every_part_should_learn_and_tell_its_loss() -> None:
    task = planted()
    told: list[tuple[float, float | None]] = []

    start = train(task, task.text_CA, replace(FAST, epochs=1, steps=1), ignore, seeded())
    end = train(
        task, task.text_CA, FAST, lambda done, _stage, loss: told.append((done, loss)), seeded()
    )

    for name, before in start.named_children():
        after = dict(end.named_children())[name]
        parameters = zip(before.parameters(), after.parameters(), strict=True)
        assert not any(torch.equal(one, other) for one, other in parameters), name
    guessed_CA = end.decoder(task.means_CD[:40]).detach()
    assert float((guessed_CA * task.text_CA[:40]).sum(dim=1).mean()) > 0.8
    assert len(told) == 2 * 2 * 20
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    losses = [loss for _, loss in told if loss is not None]
    assert len(losses) == 5
    assert all(map(isfinite, losses))


def test_steps_should_default_to_one_pass_over_the_features() -> None:
    task = planted(count=4)
    calls: list[float] = []

    train(
        task,
        task.text_CA,
        replace(TINY, steps=None, batch_size=100),
        lambda done, _stage, _loss: calls.append(done),
        seeded(),
    )

    assert len(calls) == 2 * 2  # 160 features in two batches, in a loop with and one without


def test_the_same_seed_should_make_the_same_features() -> None:
    task = planted()

    first, second = (
        synthesize_features(task, task.text_CA, task.unseen, TINY, ignore, seeded())
        for _ in range(2)
    )

    assert all(map(torch.equal, first, second))


def test_it_should_stop_at_the_step_it_is_told_to() -> None:
    task, calls = planted(), 0

    def stop(_fraction: float, _stage: str, _loss: float | None) -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise Stopped

    with pytest.raises(Stopped):
        synthesize_features(task, task.text_CA, task.unseen, TINY, stop, seeded())

    assert calls == 3


@pytest.mark.parametrize(
    ("error", "wanted"), [([3.0, 4.0], (27 + 64) / 5), ([2.0, 0.0], 4.0), ([0.0, 0.0], 0.0)]
)
def test_wl1_should_be_the_cubes_over_the_norm(error: list[float], wanted: float) -> None:
    predicted_BA = torch.tensor([error], requires_grad=True)

    loss = weighted_l1(predicted_BA, torch.zeros(1, 2))
    (gradient_BA,) = torch.autograd.grad(loss, predicted_BA)

    assert float(loss.detach()) == pytest.approx(wanted)
    assert torch.isfinite(gradient_BA).all()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_that_replays_its_steps_should_learn_what_the_cpu_learns() -> None:
    task = planted()
    on_gpu = LabelledFeatures(task.features_NF.cuda(), task.labels_N.cuda())

    there_MD, labels_M = synthesize_features(
        on_gpu, task.text_CA, task.unseen, FAST, ignore, seeded()
    )
    here_MD, _ = synthesize_features(task, task.text_CA, task.unseen, FAST, ignore, seeded())

    assert float((there_MD.cpu() * here_MD).sum(dim=1).mean()) > 0.95
    assert nearest_own_mean(task, there_MD.cpu(), labels_M.cpu()) > 0.8
