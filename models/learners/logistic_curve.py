"""Logistic regression on a few signs, which extrapolates downwards alone.

A sign beyond its usual range may lower the predicted chance without limit, but not raise it.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

STEPS = 25
RANGE = 3.0  # deviations from the mean within which a sign may raise the chance


@dataclass(frozen=True, eq=False)
class LogisticCurve:
    """A curve over F signs: their mean and deviation (F,), weights (F + 1,), a constant last."""

    mean_F: Tensor
    deviation_F: Tensor
    weight_F: Tensor

    @classmethod
    def fit(
        cls, signs_NF: Tensor, shares_N: Tensor, penalty: float, counts_N: Tensor | None = None
    ) -> "LogisticCurve":
        """Fit shares in [0, 1]; `penalty` is on each sign's squared weight, in examples.

        Each example counts once, or `counts_N` times.
        """
        mean_F, deviation_F = signs_NF.mean(dim=0), signs_NF.std(dim=0).clamp_min(1e-6)
        inputs_NF = _with_one((signs_NF - mean_F) / deviation_F)
        counts_N = torch.ones(len(inputs_NF)) if counts_N is None else counts_N
        weight_F = torch.zeros(inputs_NF.shape[1])
        penalty_FF = torch.diag(torch.tensor([*[penalty] * (len(weight_F) - 1), 1e-3]))
        for _ in range(STEPS):
            chance_N = torch.sigmoid(inputs_NF @ weight_F)
            slope_F = inputs_NF.T @ (counts_N * (shares_N - chance_N)) - penalty_FF @ weight_F
            curve_N = (chance_N * (1 - chance_N)).clamp_min(1e-3) * counts_N
            weight_F = weight_F + torch.linalg.solve(
                (inputs_NF * curve_N[:, None]).T @ inputs_NF + penalty_FF, slope_F
            )
        return cls(mean_F, deviation_F, weight_F)

    def predict(self, signs_NF: Tensor, shift: float = 0.0) -> Tensor:
        """Predict the chance (N,), its log odds moved by `shift`."""
        standard_NF = (signs_NF - self.mean_F) / self.deviation_F
        terms_NF = standard_NF * self.weight_F[:-1]
        most_NF = standard_NF.clamp(-RANGE, RANGE) * self.weight_F[:-1]
        log_odds_N = torch.minimum(terms_NF, most_NF).sum(dim=1) + self.weight_F[-1] + shift
        return torch.sigmoid(log_odds_N)


def _with_one(inputs_NF: Tensor) -> Tensor:
    return torch.cat([inputs_NF, torch.ones(len(inputs_NF), 1)], dim=1)
