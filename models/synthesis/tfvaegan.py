"""Makes features of unseen classes from those of seen classes: TF-VAEGAN.

ECCV 2020, arXiv 2003.07833, with the constants DFZSL (arXiv 2401.15657) gives it. A VAE and a GAN
share the generator; each epoch is a loop without and one with feedback from the semantic decoder.
Used by one preset of dfzsl alone, `paper`.

Differences from the release: batches are drawn with replacement, and the gradient penalty is the
closed form of a critic with one hidden layer, equal to the release's.
"""

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.optim import Adam

from headgraft.models.features.labelled import LabelledFeatures
from headgraft.models.learners.cuda_graph import GraphedStep
from headgraft.models.learners.random_blocks import RandomBlocks, StepBlocks
from headgraft.models.progress import Report, within
from headgraft.models.synthesis.critic import STAGE, Critic, descend_own, train_generator
from headgraft.models.synthesis.tfvaegan_networks import Networks

GAN_WEIGHT, SEMANTIC_WEIGHT = 10.0, 0.1
PENALTY_HIGH, PENALTY_LOW, PENALTY_FACTOR = 1.05, 1.001, 1.1


@dataclass(frozen=True)
class TfvaeganConfig:
    """The constants of a training and of what is drawn afterwards; the defaults are the authors'.

    `steps` are the generator's in each of an epoch's two loops; None: one pass over the features.
    """

    hidden_size: int = 1024
    code_size: int = 512
    epochs: int = 120
    steps: int | None = None
    batch_size: int = 64
    critic_steps: int = 5
    critic_rate: float = 3e-5
    generator_rate: float = 3e-5
    encoder_rate: float = 3e-5
    decoder_rate: float = 5e-4
    feedback_rate: float = 7e-4
    penalty: float = 10.0
    features_per_class: int = 1800

    def size(self, seen: int, features: int, embeddings: int) -> tuple[int, int]:
        """Return forward multiply-adds and updates of a training on `seen` features.

        `features` and `embeddings` are the sizes of one vector each.
        """
        steps = 2 * self.epochs * (self.steps or -(-seen // self.batch_size))
        both, Z = features + embeddings, self.hidden_size
        networks = 3 * both + 3 * self.code_size + 2 * Z
        updates = steps * Z * (self.critic_steps * both + networks)
        return updates * self.batch_size, updates


def synthesize_features(
    seen: LabelledFeatures,
    text_CA: Tensor,
    unseen: int,
    config: TfvaeganConfig,
    report: Report,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Train on seen classes and return unit features (M, D) of unseen ones, with labels (M,).

    `text_CA` are all classes' embeddings, the `unseen` ones last; labels count all classes.
    `report` is called before every step and may raise. `generator` is one of the CPU.
    """
    networks = train(seen, text_CA, config, within(report, 0.0, 0.95), generator)
    draws = RandomBlocks(generator, seen.features_NF.device)
    count, S = config.features_per_class, len(text_CA) - unseen
    features: list[Tensor] = []
    for number, text_A in enumerate(text_CA[S:].to(seen.features_NF)):
        report(0.95 + 0.05 * number / unseen, STAGE, None)
        features.append(draw_class(networks, text_A, count, draws))
    labels_M = torch.arange(S, len(text_CA)).repeat_interleave(count)
    return torch.cat(features), labels_M.to(seen.labels_N.device)


def draw_class(networks: Networks, text_A: Tensor, count: int, draws: RandomBlocks) -> Tensor:
    """Make `count` unit features (count, D) of one class, from codes of N(0, 1), fed back."""
    with torch.no_grad():
        codes_NL = draws.normal(count, networks.code_size)
        return networks.generate(codes_NL, text_A.expand(count, -1), fed_back=True)


def train(
    seen: LabelledFeatures,
    text_CA: Tensor,
    config: TfvaeganConfig,
    report: Report,
    generator: torch.Generator,
) -> Networks:
    """Train all networks on the features of seen classes, on the features' device."""
    training = _Training(seen, text_CA, config, generator)
    steps = config.steps or -(-len(seen.labels_N) // config.batch_size)
    train_generator(
        2 * steps * config.epochs,
        lambda number: training.step(fed_back=number % (2 * steps) >= steps),
        report,
    )
    return training.networks


class _Training:
    """The networks with their optimisers and what they are trained on."""

    def __init__(
        self,
        seen: LabelledFeatures,
        text_CA: Tensor,
        config: TfvaeganConfig,
        generator: torch.Generator,
    ) -> None:
        self.config = config
        self.features_ND, self.labels_N = seen.features_NF.float(), seen.labels_N
        device = self.features_ND.device
        self.text_CA = text_CA.to(device, torch.float32)
        sizes = (self.features_ND.shape[1], text_CA.shape[1], config.hidden_size)
        self.networks = networks = Networks((*sizes, config.code_size), generator).to(device)
        self.critic = Critic(sizes, generator).to(device)
        self.source = RandomBlocks(generator, device)
        batch, critics = config.batch_size, config.critic_steps
        normals = (critics + 1) * batch * config.code_size
        self.draws = StepBlocks(normals, 2 * critics * batch, device)
        self.steps = {
            fed_back: GraphedStep(partial(self._take_step, fed_back=fed_back), device)
            for fed_back in (False, True)
        }
        self.penalty = torch.tensor(config.penalty, device=device)

        def adam(module: torch.nn.Module, rate: float, beta: float = 0.5) -> Adam:
            betas, capturable = (beta, 0.999), device.type == "cuda"
            parameters = module.parameters()
            return Adam(parameters, rate, betas=betas, fused=True, capturable=capturable)

        self.encoder_adam = adam(networks.encoder, config.encoder_rate, 0.9)
        self.generator_adam = adam(networks.generator, config.generator_rate)
        self.critic_adam = adam(self.critic, config.critic_rate)
        self.decoder_adam = adam(networks.decoder, config.decoder_rate)
        self.feedback_adam = adam(networks.feedback, config.feedback_rate)

    def step(self, *, fed_back: bool) -> Tensor:
        """Take the critic's and decoder's steps, then the generator's; return its loss."""
        self.draws.refill(self.source)
        return self.steps[fed_back]()

    def _take_step(self, *, fed_back: bool) -> Tensor:
        self.draws.begin()
        penalties = list[Tensor]()
        for _ in range(self.config.critic_steps):
            real_BD, text_BA = self._batch()
            self._decoder_step(real_BD, text_BA)
            penalties.append(self._critic_step(real_BD, text_BA, fed_back))
        self._adapt(torch.stack(penalties).mean())
        # The release's generator takes the critic's last batch, too.
        return self._generator_step(real_BD, text_BA, fed_back)

    def _batch(self) -> tuple[Tensor, Tensor]:
        batch_B = self.draws.indices(self.config.batch_size, len(self.labels_N))
        return self.features_ND[batch_B], self.text_CA[self.labels_N[batch_B]]

    def _decoder_step(self, real_BD: Tensor, text_BA: Tensor) -> None:
        loss = SEMANTIC_WEIGHT * weighted_l1(self.networks.decoder(real_BD), text_BA)
        descend_own(loss, self.decoder_adam)

    def _critic_step(self, real_BD: Tensor, text_BA: Tensor, fed_back: bool) -> Tensor:
        with torch.no_grad():
            codes_BL, _ = self._codes(real_BD, text_BA)
            fake_BD = self.networks.generate(codes_BL, text_BA, fed_back=fed_back)
        mix_B1 = self.draws.uniform(len(real_BD))
        critic_loss = self.critic.compare(real_BD, fake_BD, text_BA, mix_B1)
        loss = GAN_WEIGHT * (critic_loss.fake_less_real + self.penalty * critic_loss.penalty)
        descend_own(loss, self.critic_adam)
        return critic_loss.penalty.detach()

    def _adapt(self, penalty: Tensor) -> None:
        """Make the penalty's weight follow its mean, in place and without asking the device."""
        less = torch.where(penalty < PENALTY_LOW, self.penalty / PENALTY_FACTOR, self.penalty)
        more = self.penalty * PENALTY_FACTOR
        self.penalty.copy_(torch.where(penalty > PENALTY_HIGH, more, less))

    def _generator_step(self, real_BD: Tensor, text_BA: Tensor, fed_back: bool) -> Tensor:
        networks = self.networks
        codes_BL, divergence = self._codes(real_BD, text_BA)
        fake_BD = networks.generate(codes_BL, text_BA, fed_back=fed_back)
        vae = (fake_BD - real_BD).square().sum(dim=1).mean() + divergence
        score = -GAN_WEIGHT * self.critic(fake_BD, text_BA).mean()
        semantic = SEMANTIC_WEIGHT * weighted_l1(networks.decoder(fake_BD), text_BA)
        optimisers = [self.encoder_adam, self.generator_adam]
        loss: Tensor = vae + score + semantic
        return descend_own(loss, *optimisers, *([self.feedback_adam] if fed_back else []))

    def _codes(self, real_BD: Tensor, text_BA: Tensor) -> tuple[Tensor, Tensor]:
        """Encode features: a code drawn for each (B, L), and the mean divergence from N(0, 1)."""
        mean_BL, log_variance_BL = self.networks.encoder(real_BD, text_BA)
        noise_BL = self.draws.normal(*mean_BL.shape)
        codes_BL = mean_BL + noise_BL * (0.5 * log_variance_BL).exp()
        surplus_BL = mean_BL.square() + log_variance_BL.exp() - 1 - log_variance_BL
        return codes_BL, 0.5 * surplus_BL.sum(dim=1).mean()


def weighted_l1(predicted_BA: Tensor, true_BA: Tensor) -> Tensor:
    """Return the mean over the batch of sum |e|^3 / ||e||, e the error; 0 where there is none."""
    error_BA = predicted_BA - true_BA
    tiny = torch.finfo(error_BA.dtype).tiny
    norm_B = error_BA.norm(dim=1).clamp_min(tiny)
    loss: Tensor = (error_BA.abs().pow(3).sum(dim=1) / norm_B).mean()
    return loss
