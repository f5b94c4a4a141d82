"""Two autoencoders, of class embeddings and of rows, that share a code."""

from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity

from headgraft.models.learners.layers import seeded_linear

Distance = Literal["cosine", "mse"]
Terms = Literal["mlp", "autoencoders", "cross_terms", "all"]


class Autoencoders(nn.Module):
    """E_a, D_a over class embeddings (A) and E_w, D_w over rows (K), ReLU on the code (Z).

    `sizes` is (A, K, Z); every encoder and decoder has `layers` linear maps, of width Z inside.
    Weights are N(0, deviation), biases 0, drawn from `generator` alone.
    """

    def __init__(
        self,
        sizes: tuple[int, int, int],
        deviation: float,
        generator: torch.Generator,
        layers: int = 1,
    ) -> None:
        super().__init__()
        A, K, Z = sizes
        inner = [Z] * (layers - 1)
        self.encode_a = _stack([A, *inner, Z], deviation, generator)
        self.encode_w = _stack([K, *inner, Z], deviation, generator)
        self.decode_a = _stack([Z, *inner, A], deviation, generator)
        self.decode_w = _stack([Z, *inner, K], deviation, generator)

    def loss(
        self,
        embeddings_BA: Tensor,
        rows_SK: Tensor,
        seen_B: Tensor,
        distance: Distance,
        terms: Terms = "all",
    ) -> Tensor:
        """Sum the terms of one batch, in the order in which the paper's ablation adds them.

        "mlp" is d(D_w E_a a, theta) alone; "autoencoders" adds d(D_a E_a a, a) and
        d(D_w E_w theta, theta); "cross_terms" adds d(D_a E_w theta, a); "all" is the same loss on
        batches that hold unseen classes too. `seen_B` is a boolean mask with one row of `rows_SK`
        per true entry, in order. d(D_a E_a a, a) averages over the batch, the others over its seen
        classes (0 without any).
        """
        code_BZ = self.encode_a(embeddings_BA).relu()
        if terms == "mlp":
            return _mean_distance(self.decode_w(code_BZ[seen_B]), rows_SK, distance)
        if not len(rows_SK):
            return _mean_distance(self.decode_a(code_BZ), embeddings_BA, distance)
        code_SZ = self.encode_w(rows_SK).relu()
        w_SK, w_from_a_SK = self.decode_w(torch.cat([code_SZ, code_BZ[seen_B]])).chunk(2)
        rows_loss = _mean_distance(w_SK, rows_SK, distance) + _mean_distance(
            w_from_a_SK, rows_SK, distance
        )
        if terms == "autoencoders":
            return _mean_distance(self.decode_a(code_BZ), embeddings_BA, distance) + rows_loss
        decoded = self.decode_a(torch.cat([code_BZ, code_SZ]))
        a_BA, a_from_w_SA = decoded.split([len(code_BZ), len(code_SZ)])
        return (
            _mean_distance(a_BA, embeddings_BA, distance)
            + _mean_distance(a_from_w_SA, embeddings_BA[seen_B], distance)
            + rows_loss
        )

    @torch.no_grad()
    def predict(self, embeddings_UA: Tensor) -> Tensor:
        """Decode rows (U, K) from class embeddings (U, A)."""
        rows_UK: Tensor = self.decode_w(self.encode_a(embeddings_UA).relu())
        return rows_UK


def _stack(sizes: list[int], deviation: float, generator: torch.Generator) -> nn.Sequential:
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers += [seeded_linear(inputs, outputs, generator, deviation=deviation), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def _mean_distance(predicted: Tensor, target: Tensor, distance: Distance) -> Tensor:
    if not len(target):
        return predicted.sum()  # zero, and still part of the graph
    if distance == "mse":
        return (predicted - target).square().mean()
    return 1 - cosine_similarity(predicted, target).mean()
