"""A perceptron from class embeddings to rows, and its training; it knows nothing of heads."""

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from headgraft.models.learners.early_stop import FlatLoss
from headgraft.models.learners.layers import linear
from headgraft.models.settings import filled

Extra = Callable[["RowMlp", Tensor], Tensor]
Report = Callable[[float, float], None]


class MlpSettings(BaseModel):
    """The constants of the training; `faithful` sets what is absent to the authors' value."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    AUTHORS: ClassVar[dict[str, Any]] = {
        "centre": False,
        "learning_rate": 1e-5,
        "batch_size": 16,
        "epochs": 1000,
        "stop_slope": 2e-6,
    }

    faithful: bool = Field(False, description="Use the authors' value where a setting is absent.")
    centre: bool = Field(True, description="Subtract the seen class embeddings' mean first.")
    hidden_size: int = Field(2048, ge=1, le=65536, description="Hidden units of the perceptron.")
    learning_rate: float = Field(3e-4, gt=0, le=1, description="Adam's step size.")
    batch_size: int = Field(128, ge=1, le=65536, description="Classes a step.")
    epochs: int = Field(30, ge=1, le=100_000, description="Epochs at most.")
    stop_slope: float = Field(
        2e-7, ge=0, le=100, description="A smaller fall of the loss an epoch is flat."
    )
    seed: int = Field(0, ge=0, le=2**31 - 1, description="Seed of weights and batches.")

    @model_validator(mode="before")
    @classmethod
    def _as_the_authors(cls, given: Any) -> Any:
        return filled(given, "faithful", True, cls.AUTHORS)


class RowMlp(nn.Module):
    """Linear, ReLU, Linear: A -> Z -> K. Weights N(0, 0.02) from `generator`, biases 0."""

    def __init__(self, sizes: tuple[int, int, int], generator: torch.Generator) -> None:
        super().__init__()
        A, Z, K = sizes
        self.encode = linear(A, Z, generator)
        self.decode = linear(Z, K, generator)

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

    `report(fraction, loss)` is called after every step and may raise. Ends early when flat.
    """
    generator = torch.Generator().manual_seed(settings.seed)
    sizes = (embeddings_SA.shape[1], settings.hidden_size, rows_SK.shape[1])
    network = RowMlp(sizes, generator).to(rows_SK.device)
    adam = torch.optim.Adam(network.parameters(), settings.learning_rate, fused=True)
    flat = FlatLoss(settings.stop_slope)
    for epoch in range(settings.epochs):
        order_S = torch.randperm(len(rows_SK), generator=generator).to(rows_SK.device)
        losses: list[float] = []
        for batch_B in torch.split(order_S, settings.batch_size):
            target_BK = rows_SK[batch_B]
            loss = mse_loss(network(embeddings_SA[batch_B]), target_BK)
            if extra is not None:
                loss = loss + extra(network, target_BK)
            losses.append(step(adam, loss))
            report(epoch / settings.epochs, losses[-1])
        if flat.add(sum(losses) / len(losses)):
            break
    return network


def step(optimizer: torch.optim.Optimizer, loss: Tensor) -> float:
    """Take one step down a loss; return it."""
    optimizer.zero_grad()
    torch.autograd.backward(loss)
    optimizer.step()
    return float(loss.detach())
