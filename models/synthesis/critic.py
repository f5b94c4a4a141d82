"""The critic of a Wasserstein GAN on features, and its gradient penalty.

It knows nothing of the generator. One hidden layer lets both be had from two products with the
features: what the first layer makes of a point between a real and a fake feature lies between what
it makes of them, and the gradient is the second layer's weights, sloped, times the first layer's.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from headgraft.models.learners.layers import linear

SLOPE = 0.2  # of every LeakyReLU


class Verdict(NamedTuple):
    """What a critic's step needs: the mean scores' difference, and the gradient penalty."""

    fake_less_real: Tensor
    penalty: Tensor


class Critic(nn.Module):
    """Linear, LeakyReLU, Linear: a feature and its class embedding, D + A -> Z -> 1."""

    def __init__(self, sizes: tuple[int, int, int], generator: torch.Generator) -> None:
        super().__init__()
        D, A, Z = sizes
        self.feature_size = D
        self.hidden = linear(D + A, Z, generator)
        self.score = linear(Z, 1, generator)

    def forward(self, features_BD: Tensor, given_BA: Tensor) -> Tensor:
        """Score features of the classes given: (B, 1)."""
        hidden_BZ = self.hidden(torch.cat([features_BD, given_BA], dim=1))
        scores_B1: Tensor = self.score(leaky_relu(hidden_BZ, SLOPE))
        return scores_B1

    def compare(
        self, real_BD: Tensor, fake_BD: Tensor, given_BA: Tensor, mix_B1: Tensor
    ) -> Verdict:
        """Score real against fake features, and penalise the gradient between them.

        The penalty is mean (||gradient|| - 1)^2 at mix * real + (1 - mix) * fake.
        """
        D, weight_ZK = self.feature_size, self.hidden.weight
        weight_ZD, weight_ZA = weight_ZK[:, :D], weight_ZK[:, D:]
        given_BZ = torch.addmm(self.hidden.bias, given_BA, weight_ZA.T)
        real_BZ, fake_BZ = given_BZ + real_BD @ weight_ZD.T, given_BZ + fake_BD @ weight_ZD.T
        scores = [self.score(leaky_relu(one_BZ, SLOPE)).mean() for one_BZ in (fake_BZ, real_BZ)]
        # The slopes are constant almost everywhere: no gradient passes through them.
        between_BZ = torch.lerp(fake_BZ.detach(), real_BZ.detach(), mix_B1)
        slopes_BZ = torch.where(between_BZ > 0, 1.0, SLOPE)
        gradient_BD = (slopes_BZ * self.score.weight) @ weight_ZD
        return Verdict(scores[0] - scores[1], (gradient_BD.norm(dim=1) - 1).square().mean())
