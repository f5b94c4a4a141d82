"""Teaches a graph network to restore rows."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import mse_loss

from headgraft.models.learners.row_mlp import MlpSettings
from headgraft.models.learners.training import PlateauStopper, descend
from headgraft.models.methods.wdae.row_graph import RowGraph, joined, relatives
from headgraft.models.progress import Report

COPIES = 4
STAGE = "repair"


@dataclass(frozen=True)
class RepairConstants:
    """Sizes and steps of the graph network's training; `width` of messages in sizes of rows."""

    width: float = 0.2
    learning_rate: float = 1e-3
    batch_size: int = 128
    epochs: int = 8


REPAIR_CONSTANTS = {
    "default": RepairConstants(),
    "faithful": RepairConstants(width=3.0, learning_rate=1e-5, batch_size=1_000_000, epochs=1000),
}


class WdaeSettings(MlpSettings):
    """The choices of both trainings, of the perceptron and of the network that repairs its rows."""

    noise: float = Field(0.08, ge=0, le=10, description="Deviation of the noise on rows.")
    relatives: int = Field(10, ge=1, le=1000, description="Rows that a row hears from.")

    @property
    def repair(self) -> RepairConstants:
        """The constants of the graph network's training, the authors' or ours."""
        return REPAIR_CONSTANTS["faithful" if self.faithful else "default"]

    def repair_size(self, classes: int, row_size: int) -> tuple[int, int]:
        """Return forward multiply-adds and updates of the repair's training to the last epoch."""
        constants = self.repair
        width = max(1, round(constants.width * row_size))
        batches = max(1, classes // constants.batch_size)
        parameters = 3 * row_size * width + 2 * width**2 + 2 * row_size * (row_size + 2 * width)
        updates = constants.epochs * batches * parameters
        return updates * COPIES * -(-classes // batches), updates


def learn_to_repair(
    rows_SK: Tensor, predicted_SK: Tensor, settings: WdaeSettings, report: Report
) -> RowGraph:
    """Train on the true rows and what a perceptron makes of them.

    `report` is called after every step and may raise. Ends early when the loss is flat.
    """
    constants, K, device = settings.repair, rows_SK.shape[1], rows_SK.device
    batches = torch.Generator().manual_seed(settings.seed)
    # Noise and dropout are large: drawn where they are used.
    noise = torch.Generator(device).manual_seed(settings.seed)
    width = max(1, round(constants.width * K))
    network = RowGraph(K, width, (batches, noise)).to(device)
    adam = torch.optim.Adam(network.parameters(), constants.learning_rate, fused=True)
    flat = PlateauStopper(settings.mlp.stop_slope)
    for epoch in range(constants.epochs):
        losses: list[float] = []
        for batch_B in _batches(len(rows_SK), constants.batch_size, batches):
            true_BK, predicted_BK = rows_SK[batch_B], predicted_SK[batch_B]
            copies = _corrupted(true_BK, predicted_BK)
            graph = joined([relatives(copy_BK, settings.relatives) for copy_BK in copies])
            x_NK = torch.cat(copies)
            drawn_NK = torch.randn(x_NK.shape, generator=noise, device=device)
            restored_NK = network(x_NK + settings.noise * drawn_NK, graph)
            losses.append(descend(adam, mse_loss(restored_NK, true_BK.repeat(COPIES, 1))))
            report(epoch / constants.epochs, STAGE, losses[-1])
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
