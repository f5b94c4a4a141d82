"""Deals classes into folds."""

import torch
from torch import Tensor


def deal_folds(embeddings_SA: Tensor, count: int, seed: int = 0) -> Tensor:
    """Return the fold of each class (S,), 0 to count - 1, so that near neighbours are split.

    Classes are put in the order of their embeddings' leading direction and dealt out in turn,
    each round shuffled.
    """
    generator = torch.Generator().manual_seed(seed)
    embeddings_SA = embeddings_SA.cpu().double()
    centred_SA = embeddings_SA - embeddings_SA.mean(dim=0)
    start_A1 = torch.randn(centred_SA.shape[1], 1, generator=generator, dtype=torch.float64)
    order_S = (centred_SA @ _leading(centred_SA, start_A1))[:, 0].argsort()
    fold_S = torch.empty(len(order_S), dtype=torch.long)
    for round_B in torch.split(order_S, count):
        fold_S[round_B] = torch.randperm(count, generator=generator)[: len(round_B)]
    return fold_S


def _leading(centred_SA: Tensor, vector_A1: Tensor) -> Tensor:
    # Any rough leading direction serves; a full decomposition would cost more than the folds.
    for _ in range(8):
        vector_A1 = centred_SA.T @ (centred_SA @ vector_A1)
        vector_A1 = vector_A1 / vector_A1.norm().clamp_min(torch.finfo(vector_A1.dtype).tiny)
    return vector_A1
