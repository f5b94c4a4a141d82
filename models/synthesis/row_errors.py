"""Draws class means of which a head's rows are only estimates.

A head that is right too seldom has rows with errors of their own (few pictures, much
regularisation), and features drawn about the rows themselves would hold those errors against
every row that does not share them. So the truth is drawn: row = truth + error, the error's spectrum
a power of the rows' own, its size such that the head has the accuracy it is known to have. A row
that was predicted from its class embedding alone does not depend on the error: what it explains of
the row is truth for sure, and only the rest is shrunk.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

ERROR_POWER = 0.8  # of the rows' variance along their principal axes
SHARE_MAX = 2.0  # of the rows' variance, that the errors may have
BISECTIONS, AGAIN, NEAR = 10, 4, 0.4
BINS, PREDICTIONS_A_BIN = 16, 200


@dataclass(frozen=True, eq=False)
class RowErrors:
    """Rows (S, R) in their principal axes, and features that lack the mean of their class.

    A feature is `gain_N1 * (shape_R * truth) + rest_NR`; `lots_SR` are standard normal draws.
    `share` is the size of the errors that was found with no row predicted.
    """

    rows_SR: Tensor
    labels_N: Tensor
    gain_N1: Tensor
    shape_R: Tensor
    rest_NR: Tensor
    lots_SR: Tensor
    accuracy: float
    share: float = 0.0

    def features(self, explained_SR: Tensor, known_S: Tensor, share: float) -> Tensor:
        """Draw the features (N, R) for one size of the errors."""
        truth_SR = self._truth(explained_SR, known_S, share)
        return self.gain_N1 * (self.shape_R * truth_SR)[self.labels_N] + self.rest_NR

    def unpredicted(self) -> tuple[float, Tensor, float]:
        """Find the errors' size; return it, the features (N, R) and the head's accuracy on them."""
        nothing_SR = torch.zeros_like(self.rows_SR)
        none_S = torch.zeros(len(self.rows_SR), dtype=torch.bool)
        return self._fit(nothing_SR, none_S, (0.0, SHARE_MAX), BISECTIONS)

    def predicted(self, predicted_SR: Tensor, known_S: Tensor) -> tuple[Tensor, float]:
        """Return features (N, R) and the head's accuracy, given rows predicted without its own.

        Only those of `known_S` count.
        """
        explained_SR = explain(self.rows_SR, predicted_SR, known_S)
        near = ((1 - NEAR) * self.share, (1 + NEAR) * self.share)
        _, features_NR, reached = self._fit(explained_SR, known_S, near, AGAIN)
        return features_NR, reached

    def _truth(self, explained_SR: Tensor, known_S: Tensor, share: float) -> Tensor:
        variance_R = self.rows_SR.square().mean(dim=0)
        error_R = variance_R.pow(ERROR_POWER)
        error_R = share * error_R / error_R.sum() * variance_R.sum()
        left_SR = self.rows_SR - explained_SR
        left_R = left_SR[known_S].square().mean(dim=0) if known_S.any() else variance_R
        spread_SR = torch.where(known_S[:, None], left_R, variance_R)
        kept_SR = (1 - error_R / spread_SR.clamp_min(1e-12)).clamp(0, 1)
        doubt_SR = (kept_SR * (1 - kept_SR) * spread_SR).sqrt()
        truth_SR: Tensor = explained_SR + kept_SR * left_SR + doubt_SR * self.lots_SR
        return truth_SR

    def _fit(
        self, explained_SR: Tensor, known_S: Tensor, within: tuple[float, float], steps: int
    ) -> tuple[float, Tensor, float]:
        share = bisect_falling(
            lambda share: self._score(self.features(explained_SR, known_S, share)),
            self.accuracy,
            within,
            steps,
        )
        features_NR = self.features(explained_SR, known_S, share)
        return share, features_NR, self._score(features_NR)

    def _score(self, features_NR: Tensor) -> float:
        predicted_N = (features_NR @ self.rows_SR.T).argmax(dim=1)
        return float((predicted_N == self.labels_N).float().mean())


def bisect_falling(
    score: Callable[[float], float], target: float, within: tuple[float, float], steps: int
) -> float:
    """Find where a falling score meets the target, to the interval over 2^(steps + 1)."""
    low, high = within
    for _ in range(steps):
        middle = (low + high) / 2
        low, high = (middle, high) if score(middle) > target else (low, middle)
    return (low + high) / 2


def explain(rows_SR: Tensor, predicted_SR: Tensor, known_S: Tensor) -> Tensor:
    """Return what predicted rows (S, R) explain of the rows: a slope for each bin of axes.

    Zero for classes whose prediction is not known, and where the slope would be negative.
    """
    S, R = rows_SR.shape
    known_KR, own_KR = predicted_SR[known_S], rows_SR[known_S]
    known_KR = known_KR - known_KR.mean(dim=0)
    bins = max(1, min(BINS, R, known_KR.numel() // PREDICTIONS_A_BIN))
    bin_R = torch.arange(R) * bins // R
    both, own = torch.zeros(bins), torch.zeros(bins)
    both.index_add_(0, bin_R, (known_KR * own_KR).mean(dim=0))
    own.index_add_(0, bin_R, known_KR.square().mean(dim=0))
    slope_R = (both / own.clamp_min(1e-12)).clamp_min(0)[bin_R]
    explained_SR = torch.zeros(S, R)
    explained_SR[known_S] = slope_R * known_KR
    return explained_SR
