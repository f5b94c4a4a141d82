"""Kernel ridge regression that can leave out a fold of its points in closed form.

Up to `DENSE_MAX` points the solve is exact; beyond, the kernel is replaced by its Nystroem form on
`LANDMARKS` of the points, so that time and memory grow linearly.
"""

from functools import cached_property

import torch
from torch import Tensor

DENSE_MAX = 3000
LANDMARKS = 1500
# Relative to the kernel's diagonal of 1: keeps the landmarks' Cholesky factor finite.
JITTER = 1e-5


class KernelRidge:
    """k = exp(gamma (cos - 1)) on unit points (S, A), `ridge` added to its diagonal."""

    def __init__(self, seen_SA: Tensor, gamma: float, ridge: float) -> None:
        self._gamma, self._ridge = gamma, ridge
        self._exact = len(seen_SA) <= DENSE_MAX
        self._points = seen_SA if self._exact else seen_SA[_spread(len(seen_SA))]
        gram = self._kernel(self._points)
        gram.diagonal().add_(ridge if self._exact else JITTER)
        self._factor = torch.linalg.cholesky(gram)
        if not self._exact:
            self._map_SM = self._features(seen_SA)

    def predict(self, unseen_UA: Tensor, targets_SK: Tensor) -> Tensor:
        """Predict (U, K); targets are regressed about their mean."""
        mean_K = targets_SK.mean(dim=0)
        centred_SK = targets_SK - mean_K
        if self._exact:
            dual_SK = torch.cholesky_solve(centred_SK, self._factor)
            return mean_K + self._kernel(unseen_UA) @ dual_SK
        weights_MK = self._inverse @ (self._map_SM.T @ centred_SK)
        return mean_K + self._features(unseen_UA) @ weights_MK

    def leave_out(self, targets_SK: Tensor, fold_S: Tensor) -> Tensor:
        """Predict every point's target (S, K) from the points of the other folds alone.

        One full solve and one small solve a fold: with M the matrix that maps targets to
        residuals, a fold B that is left out has the residuals M_BB^-1 (M Y)_B.
        """
        mean_K, count = targets_SK.mean(dim=0), len(targets_SK)
        residual_SK = self._residuals(targets_SK - mean_K)
        ones_S1 = self._residuals(torch.ones_like(targets_SK[:, :1]))
        predicted_SK = torch.empty_like(targets_SK)
        for fold in range(int(fold_S.max()) + 1):
            inside = (fold_S == fold).nonzero()[:, 0]
            # The mean of the others: a fold's own rows must not enter by way of the mean.
            others_K = (mean_K * count - targets_SK[inside].sum(dim=0)) / max(
                count - len(inside), 1
            )
            errors_BK = torch.linalg.solve(
                self._residual_block(inside),
                residual_SK[inside] - ones_S1[inside] * (others_K - mean_K),
            )
            predicted_SK[inside] = targets_SK[inside] - errors_BK
        return predicted_SK

    def doubt(self, unseen_UA: Tensor) -> Tensor:
        """Return the posterior variance (U,): 1 far from all points."""
        if self._exact:
            kernel_US = self._kernel(unseen_UA)
            return 1 - ((kernel_US @ self._inverse) * kernel_US).sum(dim=1)
        return self._ridge * self._leverage(self._features(unseen_UA))

    def doubt_left_out(self) -> Tensor:
        """Return each point's posterior variance (S,) given all the other points."""
        if self._exact:
            return 1 / self._inverse.diagonal() - self._ridge
        leverage_S = self._leverage(self._map_SM).clamp(max=1 - JITTER)
        return self._ridge * leverage_S / (1 - leverage_S)

    @cached_property
    def _inverse(self) -> Tensor:
        # (K + l I)^-1 (S, S), or of the landmarks' normal equations (M, M).
        if self._exact:
            return torch.cholesky_inverse(self._factor)
        normal_MM = self._map_SM.T @ self._map_SM
        normal_MM.diagonal().add_(self._ridge)
        return torch.cholesky_inverse(torch.linalg.cholesky(normal_MM))

    def _kernel(self, left_NA: Tensor) -> Tensor:
        return torch.exp(self._gamma * (left_NA @ self._points.T - 1))

    def _features(self, left_NA: Tensor) -> Tensor:
        kernel_NM = self._kernel(left_NA)
        map_MN: Tensor = torch.linalg.solve_triangular(self._factor, kernel_NM.T, upper=False)
        return map_MN.T

    def _leverage(self, map_NM: Tensor) -> Tensor:
        return ((map_NM @ self._inverse) * map_NM).sum(dim=1)

    def _residuals(self, targets_SK: Tensor) -> Tensor:
        if self._exact:
            return self._inverse @ targets_SK
        return targets_SK - self._map_SM @ (self._inverse @ (self._map_SM.T @ targets_SK))

    def _residual_block(self, inside_B: Tensor) -> Tensor:
        if self._exact:
            return self._inverse[inside_B[:, None], inside_B[None, :]]
        map_BM = self._map_SM[inside_B]
        identity_BB = torch.eye(len(inside_B), dtype=map_BM.dtype, device=map_BM.device)
        return identity_BB - map_BM @ self._inverse @ map_BM.T


def _spread(count: int) -> Tensor:
    # A fixed draw: the same task gives the same rows.
    return torch.randperm(count, generator=torch.Generator().manual_seed(0))[:LANDMARKS]
