"""The networks of TF-VAEGAN but for its critic.

A feature is encoded to a code of L numbers, a code and a class embedding are turned into a feature,
a feature back into a class embedding, and what that takes is fed back for a second, better feature.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, normalize

from headgraft.models.learners.layers import seeded_linear
from headgraft.models.synthesis.critic import SLOPE

FEEDBACK_SHARE = 0.01


class Encoder(nn.Module):
    """D + A -> Z -> 2 L -> mean and log-variance of a code, L each."""

    def __init__(self, sizes: tuple[int, int, int, int], generator: torch.Generator) -> None:
        super().__init__()
        D, A, Z, L = sizes
        self.hidden = seeded_linear(D + A, Z, generator)
        self.squeeze = seeded_linear(Z, 2 * L, generator)
        self.code = seeded_linear(2 * L, 2 * L, generator)

    def forward(self, features_BD: Tensor, text_BA: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log-variance, (B, L) each."""
        hidden_BZ = leaky_relu(self.hidden(torch.cat([features_BD, text_BA], dim=1)), SLOPE)
        mean_BL, log_variance_BL = self.code(leaky_relu(self.squeeze(hidden_BZ), SLOPE)).chunk(2, 1)
        return mean_BL, log_variance_BL


class TfvaeganGenerator(nn.Module):
    """L + A -> Z -> D, the output of unit length."""

    def __init__(self, sizes: tuple[int, int, int, int], generator: torch.Generator) -> None:
        super().__init__()
        D, A, Z, L = sizes
        self.first = seeded_linear(L + A, Z, generator)
        self.second = seeded_linear(Z, D, generator)

    def hidden(self, codes_BL: Tensor, text_BA: Tensor) -> Tensor:
        """Return the activated hidden layer (B, Z)."""
        return leaky_relu(self.first(torch.cat([codes_BL, text_BA], dim=1)), SLOPE)

    def features(self, hidden_BZ: Tensor) -> Tensor:
        """Turn a hidden layer into unit features (B, D)."""
        return normalize(self.second(hidden_BZ))


class SemanticDecoder(nn.Module):
    """D -> Z -> A, the output of unit length."""

    def __init__(self, sizes: tuple[int, int, int], generator: torch.Generator) -> None:
        super().__init__()
        D, A, Z = sizes
        self.first = seeded_linear(D, Z, generator)
        self.second = seeded_linear(Z, A, generator)

    def hidden(self, features_BD: Tensor) -> Tensor:
        """Return the activated hidden layer (B, Z)."""
        return leaky_relu(self.first(features_BD), SLOPE)

    def forward(self, features_BD: Tensor) -> Tensor:
        """Guess the class embeddings (B, A) of features."""
        return normalize(self.second(self.hidden(features_BD)))


class Feedback(nn.Module):
    """Z -> Z -> Z, both activated."""

    def __init__(self, size: int, generator: torch.Generator) -> None:
        super().__init__()
        self.first, self.second = (
            seeded_linear(size, size, generator),
            seeded_linear(size, size, generator),
        )

    def forward(self, hidden_BZ: Tensor) -> Tensor:
        """Return what to add to the generator's hidden layer, from the decoder's (B, Z)."""
        return leaky_relu(self.second(leaky_relu(self.first(hidden_BZ), SLOPE)), SLOPE)


class Networks(nn.Module):
    """All of them, for features of D, class embeddings of A, Z hidden units, codes of L numbers."""

    def __init__(self, sizes: tuple[int, int, int, int], generator: torch.Generator) -> None:
        super().__init__()
        self.code_size = sizes[3]
        self.encoder = Encoder(sizes, generator)
        self.generator = TfvaeganGenerator(sizes, generator)
        self.decoder = SemanticDecoder(sizes[:3], generator)
        self.feedback = Feedback(sizes[2], generator)

    def generate(self, codes_BL: Tensor, text_BA: Tensor, *, fed_back: bool) -> Tensor:
        """Make unit features (B, D): at once, or `fed_back` what the decoder sees in a first try.

        No gradient passes through the first try.
        """
        hidden_BZ = self.generator.hidden(codes_BL, text_BA)
        if fed_back:
            with torch.no_grad():
                seen_BZ = self.decoder.hidden(self.generator.features(hidden_BZ))
            hidden_BZ = hidden_BZ + FEEDBACK_SHARE * self.feedback(seen_BZ)
        return self.generator.features(hidden_BZ)
