"""Two one-hidden-layer autoencoders that share a code; it does not know how they are trained."""

from collections.abc import Iterable, Iterator
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity

Distance = Literal["cosine", "mse"]


class Autoencoders(nn.Module):
    """E_a, D_a over class embeddings (A) and E_w, D_w over rows (K), ReLU on the code (Z).

    `sizes` is (A, K, Z). Weights are N(0, deviation), biases 0, drawn from `generator` alone.
    """

    def __init__(
        self, sizes: tuple[int, int, int], deviation: float, generator: torch.Generator
    ) -> None:
        super().__init__()
        A, K, Z = sizes
        self.encode_a = _linear(A, Z, deviation, generator)
        self.encode_w = _linear(K, Z, deviation, generator)
        self.decode_a = _linear(Z, A, deviation, generator)
        self.decode_w = _linear(Z, K, deviation, generator)

    def loss(
        self, embeddings_BA: Tensor, rows_SK: Tensor, seen_B: Tensor, distance: Distance
    ) -> Tensor:
        """Sum the four terms of one batch.

        `seen_B` is a boolean mask with one row of `rows_SK` per true entry, in order. The first
        term averages over the batch, the other three over its seen classes (0 without any).
        """
        code_BZ = self.encode_a(embeddings_BA).relu()
        if not len(rows_SK):
            return _mean_distance(self.decode_a(code_BZ), embeddings_BA, distance)
        code_SZ = self.encode_w(rows_SK).relu()
        decoded = self.decode_a(torch.cat([code_BZ, code_SZ]))
        a_BA, a_from_w_SA = decoded.split([len(code_BZ), len(code_SZ)])
        w_SK, w_from_a_SK = self.decode_w(torch.cat([code_SZ, code_BZ[seen_B]])).chunk(2)
        return (
            _mean_distance(a_BA, embeddings_BA, distance)
            + _mean_distance(a_from_w_SA, embeddings_BA[seen_B], distance)
            + _mean_distance(w_SK, rows_SK, distance)
            + _mean_distance(w_from_a_SK, rows_SK, distance)
        )

    @torch.no_grad()
    def predict(self, embeddings_UA: Tensor) -> Tensor:
        """Decode rows (U, K) from class embeddings (U, A)."""
        rows_UK: Tensor = self.decode_w(self.encode_a(embeddings_UA).relu())
        return rows_UK


def train_epoch(
    networks: Autoencoders,
    optimizer: torch.optim.Optimizer,
    embeddings_CA: Tensor,
    rows_SK: Tensor,
    batches: Iterable[Tensor],
    distance: Distance,
) -> Iterator[float]:
    """Take one step per batch of class numbers (the first S are seen); yield each step's loss."""
    for batch_B in batches:
        seen_B = batch_B < len(rows_SK)
        total = networks.loss(embeddings_CA[batch_B], rows_SK[batch_B[seen_B]], seen_B, distance)
        optimizer.zero_grad()
        torch.autograd.backward(total)
        optimizer.step()
        yield float(total.detach())


def _linear(inputs: int, outputs: int, deviation: float, generator: torch.Generator) -> nn.Linear:
    # nn.Linear's own initialisation would draw from the process-wide generator.
    layer = nn.Linear(inputs, outputs, device="meta").to_empty(device="cpu")
    nn.init.normal_(layer.weight, std=deviation, generator=generator)
    nn.init.zeros_(layer.bias)
    return layer


def _mean_distance(predicted: Tensor, target: Tensor, distance: Distance) -> Tensor:
    if distance == "mse":
        return (predicted - target).square().mean()
    return 1 - cosine_similarity(predicted, target).mean()
