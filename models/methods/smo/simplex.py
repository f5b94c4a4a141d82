"""Finds the mix of points that is nearest to a target.

min ||sum_s m_s e_s - a||^2 over m >= 0, sum m = 1. It is the nearest point to the origin of the
hull of e_s - a, and that is a non-negative least-squares problem: with B = [e_s - a] and u = t m,
||B u||^2 + (sum u - 1)^2 is least, over t, at g / (1 + g) of g = ||B m||^2, which grows with g.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import nnls
from torch import Tensor

# The weight of sum m^2 where mixes tie: the fit is worse by no more than this, relatively.
TIE_WEIGHT = 1e-6
# Ties over more points than these stay as the solver left them: time grows with the cube.
TIED_MAX = 1500
SAME = 1e-7

Array = NDArray[np.float64]


def nearest_mix(points_SA: Tensor, target_A: Tensor) -> Tensor:
    """Return the weights (S,), float64 on the CPU, of the mix nearest to the target.

    Among mixes that are equally near, that with the smallest sum of squared weights.
    """
    shifted_SA = (points_SA - target_A).detach().to("cpu", torch.float64).numpy()
    length = np.linalg.norm(shifted_SA, axis=1).mean()
    if length == 0:
        return torch.full((len(shifted_SA),), 1 / len(shifted_SA), dtype=torch.float64)
    shifted_SA = shifted_SA / length
    weights_S = _solve(shifted_SA, 0.0)
    tied = _tied(shifted_SA, weights_S)
    if (weights_S > 0).sum() < tied.sum() <= TIED_MAX:
        weights_S = np.zeros(len(weights_S))
        weights_S[tied] = _solve(shifted_SA[tied], TIE_WEIGHT)
    return torch.from_numpy(weights_S)


def _solve(shifted_SA: Array, tie_weight: float) -> Array:
    S, A = shifted_SA.shape
    ridge_SS = np.sqrt(tie_weight) * np.eye(S) if tie_weight else np.empty((0, S))
    system = np.vstack([shifted_SA.T, ridge_SS, np.ones((1, S))])
    wanted = np.zeros(len(system))
    wanted[-1] = 1
    solution_S: Array = nnls(system, wanted, maxiter=20 * (S + A))[0]
    return np.asarray(solution_S / solution_S.sum())


def _tied(shifted_SA: Array, weights_S: Array) -> NDArray[np.bool_]:
    """Mark the points on the face of the hull that holds the nearest one."""
    nearest_A = weights_S @ shifted_SA
    heights_S = shifted_SA @ nearest_A
    return np.asarray(heights_S <= nearest_A @ nearest_A + SAME)
