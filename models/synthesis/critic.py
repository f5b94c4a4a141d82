"""The critic of a Wasserstein GAN on features, its gradient penalty, and the steps of a training.

One hidden layer gives score and gradient from two products with the features: what the first layer
makes of a point between a real and a fake feature lies between what it makes of them, and the
gradient is the second layer's weights, sloped, times the first layer's.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from headgraft.models.learners.layers import seeded_linear
from headgraft.models.progress import Report

SLOPE = 0.2  # of every LeakyReLU
LOOK_EVERY = 16  # steps: reading a loss makes the device wait
STAGE = "training generator"


class CriticLoss(NamedTuple):
    """What a critic's step needs: the mean scores' difference, and the gradient penalty."""

    fake_less_real: Tensor
    penalty: Tensor


class Critic(nn.Module):
    """Linear, LeakyReLU, Linear: a feature and its class embedding, D + A -> Z -> 1."""

    def __init__(self, sizes: tuple[int, int, int], generator: torch.Generator) -> None:
        super().__init__()
        D, A, Z = sizes
        self.feature_size = D
        self.hidden = seeded_linear(D + A, Z, generator)
        self.score = seeded_linear(Z, 1, generator)

    def forward(self, features_BD: Tensor, text_BA: Tensor) -> Tensor:
        """Score features of the classes given: (B, 1)."""
        hidden_BZ = self.hidden(torch.cat([features_BD, text_BA], dim=1))
        scores_B1: Tensor = self.score(leaky_relu(hidden_BZ, SLOPE))
        return scores_B1

    def compare(
        self, real_BD: Tensor, fake_BD: Tensor, text_BA: Tensor, mix_B1: Tensor
    ) -> CriticLoss:
        """Score real against fake features, and penalise the gradient between them.

        The penalty is mean (||gradient|| - 1)^2 at mix * real + (1 - mix) * fake.
        """
        D, weight_ZK = self.feature_size, self.hidden.weight
        weight_ZD, weight_ZA = weight_ZK[:, :D], weight_ZK[:, D:]
        text_BZ = torch.addmm(self.hidden.bias, text_BA, weight_ZA.T)
        real_BZ, fake_BZ = text_BZ + real_BD @ weight_ZD.T, text_BZ + fake_BD @ weight_ZD.T
        scores = [self.score(leaky_relu(side_BZ, SLOPE)).mean() for side_BZ in (fake_BZ, real_BZ)]
        # The slopes are constant almost everywhere: no gradient passes through them.
        between_BZ = torch.lerp(fake_BZ.detach(), real_BZ.detach(), mix_B1)
        slopes_BZ = torch.where(between_BZ > 0, 1.0, SLOPE)
        gradient_BD = (slopes_BZ * self.score.weight) @ weight_ZD
        return CriticLoss(scores[0] - scores[1], (gradient_BD.norm(dim=1) - 1).square().mean())


def train_generator(steps: int, take_step: Callable[[int], Tensor], report: Report) -> None:
    """Take a generator's steps by number; each returns a loss on the device.

    `report` is called before each, now and then with the loss of the one before, and may raise.
    """
    latest: Tensor | None = None
    for number in range(steps):
        loss = latest if number % LOOK_EVERY == 1 else None
        report(number / steps, STAGE, None if loss is None else float(loss))
        latest = take_step(number)


def descend_own(loss: Tensor, *optimisers: torch.optim.Adam) -> Tensor:
    """Take one step of each optimiser; return the loss, detached, without waiting for it.

    Gradients of the other networks are not computed.
    """
    parameters = [p for adam in optimisers for group in adam.param_groups for p in group["params"]]
    gradients = torch.autograd.grad(loss, parameters)
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient
    for adam in optimisers:
        adam.step()
    return loss.detach()
