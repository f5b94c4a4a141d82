"""A variational autoencoder of image features whose decoder is a frozen text tower.

SHIP (ICCV 2023, arXiv 2307.07397): a feature's code becomes a bias of the prompt's context, and
the text feature of that prompt with the class's name is to be the feature. With codes N(0, I) and
the name of an unseen class, it makes features of that class.

Differs from the release, by default: fewer steps on smaller batches, since every feature of a
batch costs a reading of the text tower. Weights start as N(0, 0.02), which the specification
leaves open.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from headgraft.models.embeddings.text_tower import CONTEXT_SIZE, TextTower
from headgraft.models.errors import InjectionError
from headgraft.models.features.batches import class_batches
from headgraft.models.learners.layers import DEVIATION, seeded_linear
from headgraft.models.learners.training import train_steps
from headgraft.models.progress import Report

STAGE = "learning to prompt"
AT_ONCE = 64  # prompts read between two reports


@dataclass(frozen=True)
class PromptVaeConfig:
    """The constants of a training; sizes are of the encoder's and the generator's hidden layer.

    It ends after `steps`, or once every feature was shown `epochs` times if that is sooner.
    """

    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    batch_size: int = 32
    epochs: int = 50
    steps: int = 40
    encoder_size: int = 2048
    generator_size: int = 4096

    def steps_of(self, features: int) -> int:
        """Return the number of steps of a training on `features` features."""
        return min(self.steps, self.epochs * -(-features // self.batch_size))

    def size(self, features: int, feature_size: int, width: int) -> tuple[int, int]:
        """Return forward multiply-adds and updates of a training, without the text tower's."""
        encoder, decoder = 3 * feature_size * self.encoder_size, feature_size + width
        updates = self.steps_of(features) * (encoder + decoder * self.generator_size)
        return updates * self.batch_size, updates


class PromptVae(nn.Module):
    """Features (D numbers) to codes of D numbers, and codes to contexts of width w.

    Weights are drawn on the CPU.
    """

    def __init__(
        self, feature_size: int, width: int, config: PromptVaeConfig, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.encode = seeded_linear(feature_size, config.encoder_size, generator)
        self.mean = seeded_linear(config.encoder_size, feature_size, generator)
        self.log_variance = seeded_linear(config.encoder_size, feature_size, generator)
        self.widen = seeded_linear(feature_size, config.generator_size, generator)
        self.bias = seeded_linear(config.generator_size, width, generator)
        context_4W = torch.randn(CONTEXT_SIZE, width, generator=generator)
        self.context_4W = nn.Parameter(DEVIATION * context_4W)

    def code(self, features_BD: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log-variance of the codes (B, Z)."""
        hidden_BZ = self.encode(features_BD).relu()
        return self.mean(hidden_BZ), self.log_variance(hidden_BZ)

    def contexts(self, codes_BZ: Tensor) -> Tensor:
        """Return a context (B, 4, w) for each code: one bias for all four vectors."""
        bias_BW: Tensor = self.bias(self.widen(codes_BZ).relu())
        return self.context_4W + bias_BW[:, None]


def train(
    tower: TextTower,
    class_names: Sequence[str],
    features_ND: Tensor,
    labels_N: Tensor,
    config: PromptVaeConfig,
    report: Report,
    generator: torch.Generator,
) -> PromptVae:
    """Learn to prompt for these features of these classes, on the tower's device.

    Features count by their directions. InjectionError where they are not of the tower's size.
    """
    if features_ND.shape[1] != tower.feature_size:
        raise InjectionError(
            f"the features have {features_ND.shape[1]} numbers, the text has "
            f"{tower.feature_size}: only text and pictures of one model can be compared",
            pointer="/class_embeddings",
        )
    vae = PromptVae(tower.feature_size, tower.width, config, generator).to(tower.device)
    adamw = torch.optim.AdamW(
        vae.parameters(), config.learning_rate, weight_decay=config.weight_decay
    )
    prompts_CL, labels_N = tower.prompts(class_names), labels_N.to(tower.device)
    features_ND = normalize(features_ND.to(tower.device, torch.float32))
    classes, steps = len(prompts_CL), config.steps_of(len(labels_N))
    batches = class_batches(labels_N, classes, config.batch_size, steps, 0, generator)

    def loss_of_step() -> Tensor:
        batch = next(batches)
        prompts_BL, features_BD = prompts_CL[batch.targets_B], features_ND[batch.features_B]
        return loss_of(vae, tower, prompts_BL, features_BD, generator)

    train_steps(steps, loss_of_step, adamw, report, STAGE)
    return vae


def loss_of(
    vae: PromptVae,
    tower: TextTower,
    prompts_BL: Tensor,
    features_BD: Tensor,
    generator: torch.Generator,
) -> Tensor:
    """Sum the squared error and the divergence of codes from N(0, I), averaged over the batch."""
    mean_BZ, log_variance_BZ = vae.code(features_BD)
    noise_BZ = torch.randn(mean_BZ.shape, generator=generator).to(mean_BZ)
    codes_BZ = mean_BZ + (0.5 * log_variance_BZ).exp() * noise_BZ
    decoded_BD = tower.encode(prompts_BL, vae.contexts(codes_BZ))
    error = (decoded_BD - features_BD).square().sum(dim=1)
    terms_BZ = 1 + log_variance_BZ - mean_BZ.square() - log_variance_BZ.exp()
    return (error - 0.5 * terms_BZ.sum(dim=1)).mean()


@torch.no_grad()
def synthesize_features(
    vae: PromptVae,
    tower: TextTower,
    class_names: Sequence[str],
    count: int,
    report: Report,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Make `count` unit features of each class, (C * count, D), and their labels, class by class.

    On the tower's device.
    """
    prompts_CL = tower.prompts(class_names)
    labels_N = torch.arange(len(prompts_CL), device=tower.device).repeat_interleave(count)
    parts = []
    for start in range(0, len(labels_N), AT_ONCE):
        report(start / len(labels_N), "drawing features", None)
        shown_B = labels_N[start : start + AT_ONCE]
        codes_BZ = torch.randn(len(shown_B), tower.feature_size, generator=generator)
        contexts_B4W = vae.contexts(codes_BZ.to(tower.device))
        parts.append(tower.encode(prompts_CL[shown_B], contexts_B4W))
    return torch.cat(parts), labels_N
