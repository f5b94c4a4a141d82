"""A perceptron from class embeddings to rows, and its training."""

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from headgraft.models.learners.layers import seeded_linear
from headgraft.models.learners.training import PlateauStopper, descend
from headgraft.models.progress import Report
from headgraft.models.settings import MethodSettings

Extra = Callable[["RowMlp", Tensor], Tensor]
STAGE = "training"


@dataclass(frozen=True)
class MlpConstants:
    """Sizes and steps of a training; it ends early where the loss of an epoch falls by less."""

    hidden_size: int = 2048
    learning_rate: float = 3e-4
    batch_size: int = 128
    epochs: int = 30
    stop_slope: float = 2e-7


MLP_CONSTANTS = {
    "default": MlpConstants(),
    "faithful": MlpConstants(learning_rate=1e-5, batch_size=16, epochs=1000, stop_slope=2e-6),
}


class MlpSettings(MethodSettings):
    """The choices of the training; `faithful` sets what is absent to the authors' value."""

    PRESETS = MappingProxyType({("faithful", True): {"centre": False}})

    faithful: bool = Field(False, description="Use the authors' value where a setting is absent.")
    centre: bool = Field(True, description="Subtract the seen class embeddings' mean first.")
    seed: int = Field(0, ge=0, le=2**31 - 1, description="Seed of weights and batches.")

    @property
    def mlp(self) -> MlpConstants:
        """The constants of the perceptron's training, the authors' or ours."""
        return MLP_CONSTANTS["faithful" if self.faithful else "default"]

    def training_size(self, classes: int, sizes: int) -> tuple[int, int, int]:
        """Return steps, forward multiply-adds and updates of a training to the last epoch.

        `sizes` are those of an embedding and of a row together.
        """
        constants = self.mlp
        batch = min(constants.batch_size, classes)
        steps = constants.epochs * -(-classes // batch)
        updates = steps * constants.hidden_size * sizes
        return steps, updates * batch, updates


class RowMlp(nn.Module):
    """Linear, ReLU, Linear: A -> Z -> K. Weights N(0, 0.02) from `generator`, biases 0."""

    def __init__(self, sizes: tuple[int, int, int], generator: torch.Generator) -> None:
        super().__init__()
        A, Z, K = sizes
        self.encode = seeded_linear(A, Z, generator)
        self.decode = seeded_linear(Z, K, generator)

    def forward(self, embeddings_BA: Tensor) -> Tensor:
        """Predict rows (B, K)."""
        rows_BK: Tensor = self.decode(self.encode(embeddings_BA).relu())
        return rows_BK


def train(
    embeddings_SA: Tensor,
    rows_SK: Tensor,
    settings: MlpSettings,
    report: Report,
    extra: Extra | None = None,
) -> RowMlp:
    """Fit a perceptron by mean squared error, plus `extra(network, targets of the batch)`.

    `report` is called after every step and may raise. Ends early when the loss is flat.
    """
    constants, generator = settings.mlp, torch.Generator().manual_seed(settings.seed)
    sizes = (embeddings_SA.shape[1], constants.hidden_size, rows_SK.shape[1])
    network = RowMlp(sizes, generator).to(rows_SK.device)
    adam = torch.optim.Adam(network.parameters(), constants.learning_rate, fused=True)
    flat = PlateauStopper(constants.stop_slope)
    for epoch in range(constants.epochs):
        order_S = torch.randperm(len(rows_SK), generator=generator).to(rows_SK.device)
        losses: list[float] = []
        for batch_B in torch.split(order_S, constants.batch_size):
            target_BK = rows_SK[batch_B]
            loss = mse_loss(network(embeddings_SA[batch_B]), target_BK)
            if extra is not None:
                loss = loss + extra(network, target_BK)
            losses.append(descend(adam, loss))
            report(epoch / constants.epochs, STAGE, losses[-1])
        if flat.add(sum(losses) / len(losses)):
            break
    return network
