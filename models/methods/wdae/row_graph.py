"""A graph network that repairs rows from their relatives.

B rows a copy, T relatives a row, W the width of messages; N rows in all copies.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import batch_norm, leaky_relu

from headgraft.models.learners.layers import seeded_linear

SHARPNESS = 5.0
NUMBERS_MAX = 500_000_000  # of one matrix of similarities: 2 GB
DROPOUT = 0.7
Graph = tuple[Tensor, Tensor]


def relatives(rows_BK: Tensor, count: int) -> Graph:
    """Return each row's `count` most similar others (B, T) and their weights, which sum to 1.

    Weights are softmax(5 theta_i . theta_j) without i itself; fewer rows give fewer relatives.
    """
    B, graphs = len(rows_BK), list[Graph]()
    every_B = torch.arange(B, device=rows_BK.device)
    for part in torch.split(every_B, max(1, NUMBERS_MAX // B)):
        similar_MB = SHARPNESS * rows_BK[part] @ rows_BK.T
        similar_MB[part - part[0], part] = -torch.inf
        best = similar_MB.topk(min(count, B - 1), dim=1)
        graphs.append((best.indices, best.values.softmax(dim=1)))
    indices, weights = zip(*graphs, strict=True)
    return torch.cat(indices), torch.cat(weights)


def joined(graphs: list[Graph]) -> Graph:
    """Put graphs of B rows each side by side, as one of all N rows."""
    size = len(graphs[0][0])
    index_NT = torch.cat([index_BT + size * copy for copy, (index_BT, _) in enumerate(graphs)])
    return index_NT, torch.cat([weight_BT for _, weight_BT in graphs])


class Norm(nn.Module):
    """Batch normalisation, then dropout from `generator`, then a leaky rectifier."""

    mean: Tensor
    variance: Tensor

    def __init__(self, width: int, generator: torch.Generator) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("variance", torch.ones(width))
        self._generator = generator

    def forward(self, x_NW: Tensor) -> Tensor:
        """Normalise (N, W) by the batch in training, by its running mean otherwise."""
        x_NW = batch_norm(
            x_NW, self.mean, self.variance, self.weight, self.bias, training=self.training
        )
        if self.training:
            # nn.Dropout would draw from the process-wide generator.
            kept_NW = torch.empty_like(x_NW).bernoulli_(1 - DROPOUT, generator=self._generator)
            x_NW = x_NW * kept_NW / (1 - DROPOUT)
        return leaky_relu(x_NW)


class Message(nn.Module):
    """m_i = sum_j a_ij activation(h_i + h_j), h = Linear(inputs -> W)."""

    def __init__(self, sizes: tuple[int, int], draws: tuple[torch.Generator, torch.Generator]):
        super().__init__()
        self.transform = seeded_linear(*sizes, draws[0])
        self.activate = Norm(sizes[1], draws[1])

    def forward(self, x_NI: Tensor, graph: Graph) -> Tensor:
        """Gather (N, W) from each row's relatives."""
        index_NT, weight_NT = graph
        h_NW = self.transform(x_NI)
        pairs_NTW = h_NW[:, None] + h_NW[index_NT]
        active_NTW = self.activate(pairs_NTW.flatten(0, 1)).view_as(pairs_NTW)
        gathered_NW: Tensor = (weight_NT[:, :, None] * active_NTW).sum(dim=1)
        return gathered_NW


class RowGraph(nn.Module):
    """Two layers of messages; output = input + sigmoid(gate) * residual.

    `draws` are the generator of the weights, on the CPU, and that of dropout, on the device.
    """

    def __init__(self, K: int, W: int, draws: tuple[torch.Generator, torch.Generator]) -> None:
        super().__init__()
        self.first = Message((K, W), draws)
        self.widen = seeded_linear(K + W, W, draws[0], bias=False)
        self.activate = Norm(W, draws[1])
        self.second = Message((K + W, W), draws)
        self.repair = seeded_linear(K + 2 * W, 2 * K, draws[0])

    def forward(self, x_NK: Tensor, graph: Graph) -> Tensor:
        """Repair rows (N, K)."""
        wide_NW = self.widen(torch.cat([x_NK, self.first(x_NK, graph)], dim=1))
        y_NI = torch.cat([x_NK, self.activate(wide_NW)], dim=1)
        out_NK2 = self.repair(torch.cat([y_NI, self.second(y_NI, graph)], dim=1))
        residual_NK, gate_NK = out_NK2.chunk(2, dim=1)
        repaired_NK: Tensor = x_NK + gate_NK.sigmoid() * residual_NK
        return repaired_NK
