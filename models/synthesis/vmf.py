"""Draws from von Mises-Fisher distributions on the unit sphere, and chooses how concentrated.

A draw of a uniform unit vector, moved along the sphere by a Möbius map, is the proposal; its
first coordinate alone decides whether it is accepted. Written here because scipy's sampler takes
one direction a call and has no gradient, and its Bessel functions underflow at kappa 10.
"""

from math import pi, sqrt

import torch
from torch import Tensor
from torch.nn.functional import normalize

KAPPA_MAX = 1e6
TWINS = 0.02  # radians: nearer texts are one text, and say nothing of how far classes spread
PILOTS = 4  # draws a class that try a kappa
AT_ONCE = 1000  # classes


def sample(directions_CD: Tensor, kappa: float, count: int, generator: torch.Generator) -> Tensor:
    """Draw unit features (C, count, D) around each direction, in the directions' dtype and device.

    Directions need not be unit. Gradients reach them through the reflection onto them alone.
    Random numbers are drawn on the CPU; float64 inside. ValueError: kappa not in (0, 1e6], D < 2.
    """
    C, D = directions_CD.shape
    _check(D, kappa)
    drawn_ND = _around_first_axis(C * count, D, kappa, generator).to(directions_CD.device)
    mean_CD = normalize(directions_CD.double())
    reflected_CND = _reflect(drawn_ND.view(C, count, D), mean_CD)
    return reflected_CND.to(directions_CD.dtype)


def _check(D: int, kappa: float) -> None:
    if not 0 < kappa <= KAPPA_MAX or D < 2:
        raise ValueError(
            f"kappa {kappa} must be above 0 and at most {KAPPA_MAX:g}, D {D} 2 or more"
        )


def _around_first_axis(count: int, D: int, kappa: float, generator: torch.Generator) -> Tensor:
    """Draw (count, D) around the first axis, by rejection (Wood 1994)."""
    drawn_ND = torch.empty(count, D, dtype=torch.float64)
    left_N = torch.arange(count)
    while len(left_N):
        accepted_M, found_MD = _propose(len(left_N), D, kappa, generator)
        drawn_ND[left_N[accepted_M]] = found_MD[accepted_M]
        left_N = left_N[~accepted_M]
    return drawn_ND


def _propose(count: int, D: int, kappa: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return which proposals (count,) are accepted, and the proposals (count, D)."""
    # 1 - x0^2 is written out: near kappa 1e5 the difference itself would lose half the digits.
    b = (D - 1) / (2 * kappa + sqrt(4 * kappa**2 + (D - 1) ** 2))
    x0, rest = (1 - b) / (1 + b), 4 * b / (1 + b) ** 2
    point_ND = normalize(torch.randn(count, D, dtype=torch.float64, generator=generator))
    t_N = point_ND[:, 0].clone()
    log_ratio_N = kappa * rest * t_N / (1 + x0 * t_N) - (D - 1) * torch.log1p(x0 * t_N)
    accepted_N = log_ratio_N >= torch.rand(count, dtype=torch.float64, generator=generator).log()
    point_ND *= (sqrt(rest) / (1 + x0 * t_N))[:, None]
    point_ND[:, 0] = (x0 + t_N) / (1 + x0 * t_N)
    return accepted_N, point_ND


def _reflect(drawn_CND: Tensor, mean_CD: Tensor) -> Tensor:
    """Send the first axis to each mean by a Householder reflection."""
    axis_D = torch.zeros_like(mean_CD[0])
    axis_D[0] = 1
    difference_CD = axis_D - mean_CD
    # A mean on the axis has nothing to reflect; the square keeps its gradient finite.
    length_C = difference_CD.square().sum(dim=1).clamp_min(1e-30)
    along_CN = torch.einsum("cnd,cd->cn", drawn_CND, difference_CD) * (2 / length_C)[:, None]
    return drawn_CND - along_CN[:, :, None] * difference_CD[:, None, :]


LEAST, MOST = 10.0, 1e5


def choose_kappa(start_SD: Tensor, query_SD: Tensor, generator: torch.Generator) -> float:
    """Return a kappa in [10, 1e5] by the starts' angles, and raise it until the head can follow.

    It can where, in the median class, half of the draws around its own row `query_SD` (unit) are
    nearest to that row.
    """
    kappa = min(max(36 / smallest_angle(start_SD) ** 2, LEAST), MOST)
    while kappa < MOST and _median_share(query_SD, kappa, generator) < 0.5:
        kappa = min(2 * kappa, MOST)
    return kappa


def smallest_angle(start_SD: Tensor) -> float:
    """Return the smallest angle in radians, at most pi / 2, between two that are not twins."""
    unit_SD, smallest = normalize(start_SD.double()), pi / 2
    for block_BD in torch.split(unit_SD, AT_ONCE):
        angles_BS = (block_BD @ unit_SD.T).clamp(-1, 1).arccos()
        angles_BS.masked_fill_(angles_BS < TWINS, pi)  # each with itself, too
        smallest = min(smallest, float(angles_BS.min()))
    return smallest


def _median_share(query_SD: Tensor, kappa: float, generator: torch.Generator) -> float:
    shares = []
    for first in range(0, len(query_SD), AT_ONCE):
        block_BD = query_SD[first : first + AT_ONCE]
        answers_BP = (sample(block_BD, kappa, PILOTS, generator) @ query_SD.T).argmax(dim=2)
        label_B1 = torch.arange(first, first + len(block_BD), device=query_SD.device)[:, None]
        shares.append((answers_BP == label_B1).float().mean(dim=1))
    return float(torch.cat(shares).median())
