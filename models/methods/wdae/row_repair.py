"""Teaches a graph network to restore rows; it knows nothing of heads or class embeddings."""

from collections.abc import Iterator
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import mse_loss

from headgraft.models.learners.early_stop import FlatLoss
from headgraft.models.learners.row_mlp import MlpSettings, Report, step
from headgraft.models.methods.wdae.row_graph import RowGraph, joined, relatives

COPIES = 4


class RepairSettings(MlpSettings):
    """The constants of the perceptron and of the network that repairs its rows."""

    AUTHORS: ClassVar[dict[str, Any]] = {
        **MlpSettings.AUTHORS,
        "repair_width": 3.0,
        "repair_learning_rate": 1e-5,
        "repair_batch_size": 1_000_000,
        "repair_epochs": 1000,
    }

    repair_width: float = Field(0.2, gt=0, le=10, description="Size of messages, in sizes of rows.")
    repair_learning_rate: float = Field(1e-3, gt=0, le=1, description="Adam's step size.")
    repair_batch_size: int = Field(128, ge=2, le=1_000_000, description="Seen classes a step.")
    repair_epochs: int = Field(8, ge=1, le=100_000, description="Epochs at most.")
    noise: float = Field(0.08, ge=0, le=10, description="Deviation of the noise on rows.")
    relatives: int = Field(10, ge=1, le=1000, description="Rows that a row hears from.")


def learn_to_repair(
    rows_SK: Tensor, predicted_SK: Tensor, settings: RepairSettings, report: Report
) -> RowGraph:
    """Train on the true rows and what a perceptron makes of them.

    `report(fraction, loss)` is called after every step and may raise. Ends early when flat.
    """
    K, device = rows_SK.shape[1], rows_SK.device
    batches = torch.Generator().manual_seed(settings.seed)
    # Noise and dropout are large: drawn where they are used.
    noise = torch.Generator(device).manual_seed(settings.seed)
    width = max(1, round(settings.repair_width * K))
    network = RowGraph(K, width, (batches, noise)).to(device)
    adam = torch.optim.Adam(network.parameters(), settings.repair_learning_rate, fused=True)
    flat = FlatLoss(settings.stop_slope)
    for epoch in range(settings.repair_epochs):
        losses: list[float] = []
        for batch_B in _batches(len(rows_SK), settings.repair_batch_size, batches):
            true_BK, predicted_BK = rows_SK[batch_B], predicted_SK[batch_B]
            copies = _corrupted(true_BK, predicted_BK)
            graph = joined([relatives(copy_BK, settings.relatives) for copy_BK in copies])
            x_NK = torch.cat(copies)
            drawn_NK = torch.randn(x_NK.shape, generator=noise, device=device)
            restored_NK = network(x_NK + settings.noise * drawn_NK, graph)
            losses.append(step(adam, mse_loss(restored_NK, true_BK.repeat(COPIES, 1))))
            report(epoch / settings.repair_epochs, losses[-1])
        if flat.add(sum(losses) / len(losses)):
            break
    return network


def _batches(count: int, size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Deal the classes out into batches of about equal sizes; none of a lone class."""
    order_S = torch.randperm(count, generator=generator)
    return iter(order_S.tensor_split(max(1, count // size)))


def _corrupted(true_BK: Tensor, predicted_BK: Tensor) -> list[Tensor]:
    """Copy a batch once a quarter, that quarter replaced by predictions."""
    quarter_B = torch.arange(len(true_BK), device=true_BK.device) % COPIES
    return [
        torch.where((quarter_B == copy)[:, None], predicted_BK, true_BK) for copy in range(COPIES)
    ]
