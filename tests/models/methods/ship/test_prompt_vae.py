"""The prompt VAE, on features that a tiny tower's own prompts can make."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from headgraft.models.embeddings.text_tower import TextTower
from headgraft.models.errors import InjectionError
from headgraft.models.methods.ship.prompt_vae import (
    PromptVae,
    PromptVaeConfig,
    synthesize_features,
    train,
)
from headgraft.models.progress import ignore
from tests.models.towers import make_network, make_tower

NAMES = ["cat", "dog", "owl", "bear", "lolly", "bridge", "violin", "teapot", "castle", "tractor"]
SEEN = 7
CONFIG = PromptVaeConfig(
    encoder_size=32, generator_size=32, batch_size=32, steps=120, learning_rate=5e-3
)


def features_of(tower: TextTower, count: int = 20) -> tuple[Tensor, Tensor]:
    """Make features (S * count, D) of the seen classes with prompts of a kind, and labels."""
    generator = torch.Generator().manual_seed(3)
    labels_N = torch.arange(SEEN).repeat_interleave(count)
    bias_N1W = 0.005 * torch.randn(len(labels_N), 1, tower.width, generator=generator)
    contexts_N4W = tower.context() + 0.2 + bias_N1W
    return tower.encode(tower.prompts(NAMES)[labels_N], contexts_N4W), labels_N


def trained(tower: TextTower, config: PromptVaeConfig = CONFIG, seed: int = 0) -> PromptVae:
    generator = torch.Generator().manual_seed(seed)
    return train(tower, NAMES[:SEEN], *features_of(tower), config, ignore, generator)


def drawn(tower: TextTower, vae: PromptVae, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return synthesize_features(vae, tower, NAMES, 12, ignore, generator)


@pytest.mark.parametrize("kind", ["plain", "quick-gelu", "own class token"])
def test_training_should_lower_the_loss(kind: str) -> None:
    tower, losses = make_tower(kind), list[float]()

    def report(_fraction: float, _stage: str, loss: float | None) -> None:
        losses.extend([] if loss is None else [loss])

    train(tower, NAMES[:SEEN], *features_of(tower), CONFIG, report, torch.Generator())

    assert len(losses) == 119
    assert sum(losses[-10:]) < 0.7 * sum(losses[:10])


def test_drawn_features_should_be_near_those_of_their_class() -> None:
    tower = make_tower()
    features_ND, labels_N = features_of(tower)
    means_SD = torch.stack([features_ND[labels_N == one].mean(dim=0) for one in range(SEEN)])

    before_MD, _ = drawn(tower, trained(tower, replace(CONFIG, steps=0)))
    after_MD, labels_M = drawn(tower, trained(tower))

    seen_M = labels_M < SEEN
    like_MD = normalize(means_SD[labels_M[seen_M]])
    before, after = ((part[seen_M] * like_MD).sum(dim=1).mean() for part in (before_MD, after_MD))
    assert after > before + 0.1
    assert after > 0.8


def test_classes_that_were_never_shown_should_get_features_too() -> None:
    tower = make_tower()

    features_MD, labels_M = drawn(tower, trained(tower))

    assert features_MD.shape == (120, 16)
    assert labels_M.tolist() == [one for one in range(10) for _ in range(12)]
    torch.testing.assert_close(features_MD.norm(dim=1), torch.ones(120))
    assert not features_MD.requires_grad


def test_gradients_should_reach_the_vae_and_nothing_of_the_tower() -> None:
    network, tokenizer = make_network()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    untrained = PromptVae(16, 16, CONFIG, torch.Generator().manual_seed(0))

    vae = trained(TextTower(network, tokenizer))

    for name, parameter in vae.named_parameters():
        assert not torch.equal(parameter, untrained.get_parameter(name)), name
    for name, parameter in network.named_parameters():
        assert parameter.grad is None, name
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_the_same_seed_should_draw_the_same() -> None:
    tower = make_tower()
    short = replace(CONFIG, steps=3)

    first, again, other = (drawn(tower, trained(tower, short, seed))[0] for seed in (0, 0, 1))

    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_code_should_move_all_four_context_vectors_alike() -> None:
    vae = PromptVae(16, 8, CONFIG, torch.Generator().manual_seed(0))

    moved_B4W = vae.contexts(torch.randn(5, 16, generator=torch.Generator())) - vae.context_4W

    assert moved_B4W.shape == (5, 4, 8)
    torch.testing.assert_close(moved_B4W, moved_B4W[:, :1].expand(5, 4, 8))
    assert moved_B4W.abs().min() > 0


def test_every_step_and_every_reading_should_be_reported() -> None:
    tower, told = make_tower(), list[tuple[str, float]]()

    def report(fraction: float, stage: str, _loss: float | None) -> None:
        told.append((stage, fraction))

    short = replace(CONFIG, steps=3)
    vae = train(tower, NAMES[:SEEN], *features_of(tower), short, report, torch.Generator())
    synthesize_features(vae, tower, NAMES, 12, report, torch.Generator())

    assert [stage for stage, _ in told] == ["learning to prompt"] * 3 + ["drawing features"] * 2
    assert [round(fraction, 2) for _, fraction in told] == [0, 0.33, 0.67, 0, 0.53]


def test_few_features_should_not_be_shown_more_often_than_the_epochs_allow() -> None:
    config = PromptVaeConfig(batch_size=32, epochs=2, steps=40)

    assert [config.steps_of(features) for features in (64, 65, 6400)] == [4, 6, 40]


def test_features_of_another_size_should_be_refused_with_both_numbers() -> None:
    with pytest.raises(InjectionError, match="have 5 numbers, the text has 16"):
        train(
            make_tower(),
            NAMES,
            torch.ones(3, 5),
            torch.arange(3),
            CONFIG,
            ignore,
            torch.Generator(),
        )
