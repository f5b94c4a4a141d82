"""Chooses how closely virtual features crowd around their class; it does not know how they move.

dfzsl: kappa = 36 / (smallest angle between two class directions)^2. Outside the paper: classes
of one text do not count, and kappa is doubled while draws around the head's own rows would mostly
be taken for other classes.
"""

from math import pi

import torch
from torch import Tensor
from torch.nn.functional import normalize

from headgraft.models.synthesis.vmf import sample

LEAST, MOST = 10.0, 1e5
TWINS = 0.02  # radians: nearer texts are one text, and say nothing of how far classes spread
PILOTS = 4  # draws a class that try a kappa
AT_ONCE = 1000  # classes


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
