"""Makes features of unseen classes from those of seen classes: a conditional WGAN-GP.

Its generator takes noise of the class embedding's size beside the embedding.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, normalize

from headgraft.models.features.labelled import LabelledFeatures
from headgraft.models.learners.layers import seeded_linear
from headgraft.models.learners.random_blocks import RandomBlocks
from headgraft.models.progress import Report
from headgraft.models.synthesis.critic import SLOPE, Critic, descend_own, train_generator


@dataclass(frozen=True)
class WganConfig:
    """The constants of a training and of what is drawn afterwards.

    `steps` are the generator's; `positive` puts a ReLU at its end, for features that are at least
    0. With `scale_embeddings`, class embeddings are as long as the noise beside them, about
    sqrt(A), and change the features sooner; the paper leaves them at unit length.
    """

    hidden_size: int = 4096
    steps: int = 1000
    batch_size: int = 512
    critic_steps: int = 5
    learning_rate: float = 1e-4
    penalty: float = 10.0
    positive: bool = True
    scale_embeddings: bool = False
    features_per_class: int = 10

    def size(self, features: int, embeddings: int) -> tuple[int, int]:
        """Return forward multiply-adds and updates of a training; sizes are of one vector each."""
        critic, generator = features + embeddings, features + 2 * embeddings
        parameters = self.hidden_size * (self.critic_steps * critic + generator)
        return self.steps * parameters * self.batch_size, self.steps * parameters


class WganGenerator(nn.Module):
    """A + A -> Z -> D: noise and class embedding to a feature of unit length."""

    def __init__(
        self, sizes: tuple[int, int, int], generator: torch.Generator, *, positive: bool
    ) -> None:
        super().__init__()
        D, A, Z = sizes
        self.positive = positive
        self.first, self.second = seeded_linear(2 * A, Z, generator), seeded_linear(Z, D, generator)

    def forward(self, noise_BA: Tensor, text_BA: Tensor) -> Tensor:
        """Make unit features (B, D) of the classes given."""
        hidden_BZ = leaky_relu(self.first(torch.cat([noise_BA, text_BA], dim=1)), SLOPE)
        features_BD: Tensor = self.second(hidden_BZ)
        return normalize(features_BD.relu() if self.positive else features_BD)


def synthesize_features(
    seen: LabelledFeatures,
    text_CA: Tensor,
    unseen: int,
    config: WganConfig,
    report: Report,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Train on seen classes and return unit features (M, D) of unseen ones, with labels (M,).

    `text_CA` are all classes' embeddings, the `unseen` ones last; labels count all classes.
    `report` is called before every step and may raise. `generator` is one of the CPU.
    """
    text_CA = text_CA.to(seen.features_NF.device, torch.float32)
    if config.scale_embeddings:
        text_CA = normalize(text_CA) * text_CA.shape[1] ** 0.5
    network = train(seen, text_CA, config, report, generator)
    draws = RandomBlocks(generator, text_CA.device)
    labels_M = torch.arange(len(text_CA) - unseen, len(text_CA), device=text_CA.device)
    labels_M = labels_M.repeat_interleave(config.features_per_class)
    with torch.no_grad():
        noise_MA = draws.normal(len(labels_M), text_CA.shape[1])
        return network(noise_MA, text_CA[labels_M]), labels_M


def train(
    seen: LabelledFeatures,
    text_CA: Tensor,
    config: WganConfig,
    report: Report,
    generator: torch.Generator,
) -> WganGenerator:
    """Train a generator against a critic on the features of seen classes, on their device."""
    features_ND, labels_N = normalize(seen.features_NF.float()), seen.labels_N
    sizes = (features_ND.shape[1], text_CA.shape[1], config.hidden_size)
    network = WganGenerator(sizes, generator, positive=config.positive).to(features_ND.device)
    critic = Critic(sizes, generator).to(features_ND.device)
    draws = RandomBlocks(generator, features_ND.device)
    generator_adam, critic_adam = (
        torch.optim.Adam(module.parameters(), config.learning_rate, betas=(0.5, 0.999), fused=True)
        for module in (network, critic)
    )

    def take_step(_number: int) -> Tensor:
        for _ in range(config.critic_steps):
            batch_B = draws.indices(config.batch_size, len(labels_N))
            real_BD, text_BA = features_ND[batch_B], text_CA[labels_N[batch_B]]
            with torch.no_grad():
                fake_BD = network(draws.normal(*text_BA.shape), text_BA)
            mix_B1 = draws.uniform(len(real_BD))
            critic_loss = critic.compare(real_BD, fake_BD, text_BA, mix_B1)
            total = critic_loss.fake_less_real + config.penalty * critic_loss.penalty
            loss = descend_own(total, critic_adam)
        # The generator's step reuses the last batch's classes.
        fake_BD = network(draws.normal(*text_BA.shape), text_BA)
        descend_own(-critic(fake_BD, text_BA).mean(), generator_adam)
        return loss

    train_generator(config.steps, take_step, report)
    return network
