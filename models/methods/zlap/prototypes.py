"""Class prototypes as a function of class embeddings, and their way back into a head's rows.

Zero-Shot Logit Adjustment, IJCAI 2022, arXiv 2204.11822.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, normalize

from headgraft.models.heads.head import Head
from headgraft.models.heads.rows import regression_rows, restore_norms
from headgraft.models.learners.cosine_classifier import CosineClassifierConfig, train_rows
from headgraft.models.learners.layers import seeded_linear
from headgraft.models.progress import Report
from headgraft.models.synthesis.critic import SLOPE


class PrototypeNetwork(nn.Module):
    """A -> Z -> D: a class embedding to a point in feature space."""

    def __init__(self, sizes: tuple[int, int, int], generator: torch.Generator) -> None:
        super().__init__()
        A, Z, D = sizes
        self.first, self.second = seeded_linear(A, Z, generator), seeded_linear(Z, D, generator)

    def forward(self, embeddings_CA: Tensor) -> Tensor:
        """Return prototypes (C, D)."""
        prototypes_CD: Tensor = self.second(leaky_relu(self.first(embeddings_CA), SLOPE))
        return prototypes_CD


def train_prototypes(
    labelled: tuple[Tensor, Tensor],
    embeddings_CA: Tensor,
    hidden_size: int,
    config: CosineClassifierConfig,
    offsets_C: Tensor,
    report: Report,
    generator: torch.Generator,
) -> Tensor:
    """Return unit prototypes (C, D) that tell features (N, D) with labels (N,) apart by cosine.

    `offsets_C` are added to the logits in training only; `report` is called before every step.
    """
    features_ND = labelled[0]
    sizes = (embeddings_CA.shape[1], hidden_size, features_ND.shape[1])
    network = PrototypeNetwork(sizes, generator).to(features_ND.device)
    train_rows(
        lambda: network(embeddings_CA),
        list(network.parameters()),
        labelled,
        config,
        offsets_C,
        report,
        generator,
    )
    with torch.no_grad():
        return normalize(network(embeddings_CA))


class UnitInterval:
    """Features scaled to [0, 1] in each dimension, as some were seen to lie."""

    def __init__(self, features_ND: Tensor) -> None:
        self.low_D, high_D = features_ND.aminmax(dim=0)
        # A dimension that never moves tells nothing; 1 keeps it, and its row, finite.
        self.span_D = torch.where(high_D > self.low_D, high_D - self.low_D, 1.0)

    def scale(self, features_ND: Tensor) -> Tensor:
        """Scale features (N, D)."""
        return (features_ND - self.low_D) / self.span_D

    def fold_back(self, rows_CD: Tensor) -> Tensor:
        """Turn rows for scaled features into [w ; b] (C, D + 1) that score unscaled ones alike."""
        weight_CD = rows_CD / self.span_D
        return torch.cat([weight_CD, -(weight_CD @ self.low_D)[:, None]], dim=1)


def rows_from_prototypes(head: Head, prototypes_CK: Tensor) -> Tensor:
    """Return rows (U, K) that stand to the head's own as unseen prototypes to seen ones.

    Prototypes (C, K or K - 1, if they have no bias) are of the head's S classes first. What all
    of them share decides between no two, and neither does what all rows share: the differences
    from the seen mean are kept, times what makes the mean distances of seen prototypes and of
    seen rows equal. Without a bias of their own, new rows get the seen rows' mean bias.
    """
    rows_SK = regression_rows(head, prototypes_CK.device)
    S, K = rows_SK.shape
    theta_CK = torch.nn.functional.pad(prototypes_CK.double(), (0, K - prototypes_CK.shape[1]))
    centred_CK = theta_CK - theta_CK[:S].mean(dim=0)
    mean_K = rows_SK.mean(dim=0)
    distance = (rows_SK - mean_K).norm(dim=1).mean()
    factor = distance / centred_CK[:S].norm(dim=1).mean().clamp_min(1e-12)
    return restore_norms(mean_K + factor * centred_CK[S:], head)
