"""Accuracies to expect of unseen classes, from how hidden classes with real pictures fared.

It knows nothing of how the features were scored: shares of recognised pictures in, intervals out.
"""

from typing import Literal

import torch
from torch import Tensor

from headgraft.models.metrics import harmonic_mean, weighted_mean
from headgraft.models.selection.trade_off import TradeOff

DRAWS = 2000
OUTSIDE = 0.05  # on each side of the interval
ELEMENTS_MAX = 4_000_000  # of one matrix of drawn classes

Measure = Literal["T1", "u", "s", "H"]
Interval = tuple[float, float, float]


def resampled(
    played: TradeOff, pictures_S: Tensor, at: int, unseen: int
) -> dict[Measure, Interval]:
    """Return T1, u, s and H at a scale, each as value and 90 % interval (low, high).

    A bootstrap over classes: the mean of the hidden classes is uncertain, as another draw of them
    would show, and the injected ones are `unseen` further classes of the same kind. The binomial
    noise of the pictures keeps an interval from closing where all were alike.
    """
    generator = torch.Generator().manual_seed(0)
    columns: dict[Measure, tuple[Tensor, Tensor]] = {
        "T1": (played.T1_GT[:, at], played.own_ST[:, at]),
        "u": (played.u_GT[:, at], played.hits_ST[:, at]),
        "s": (played.s_GT[:, at], played.kept_ST[:, at]),
    }
    values: dict[Measure, float] = {}
    drawn: dict[Measure, Tensor] = {}
    for name, (values_G, shares_S) in columns.items():
        shown_S = ~shares_S.isnan()
        shares_M = shares_S[shown_S]
        values[name] = float(values_G.mean())
        # The old classes stay the same; the new ones are others than those that were hidden.
        further = None if name == "s" else unseen
        spread = _spread(shares_M, further, generator)
        noise = _noise(values[name], int(pictures_S[shown_S].sum()), generator)
        drawn[name] = (values[name] + spread + noise).clamp(0, 1)
    drawn["H"] = weighted_mean(drawn["u"], drawn["s"], 1.0)
    values["H"] = harmonic_mean(values["u"], values["s"])
    found = {name: _interval(value, drawn[name]) for name, value in values.items()}
    if unseen == 1:
        found["T1"] = (1.0, 1.0, 1.0)
    return found


def _spread(shares_M: Tensor, further: int | None, generator: torch.Generator) -> Tensor:
    """Return DRAWS deviations of a mean: that of other classes, and of `further` ones beside."""
    spread = _drawn_means(shares_M, len(shares_M), generator) - shares_M.mean()
    if further is not None:
        spread += _drawn_means(shares_M, further, generator) - shares_M.mean()
    return spread


def _drawn_means(shares_M: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """Return DRAWS means over `size` classes drawn with replacement."""
    means, at_once = [], max(1, ELEMENTS_MAX // size)
    for start in range(0, DRAWS, at_once):
        count = min(at_once, DRAWS - start)
        drawn = torch.randint(len(shares_M), (count, size), generator=generator)
        means.append(shares_M[drawn].mean(dim=1))
    return torch.cat(means)


def _noise(share: float, pictures: int, generator: torch.Generator) -> Tensor:
    # Two pictures more, one of them right: never 0, nor without any.
    likely = (share * pictures + 1) / (pictures + 2)
    deviation = (likely * (1 - likely) / (pictures + 2)) ** 0.5
    return torch.randn(DRAWS, generator=generator).mul_(deviation)


def _interval(value: float, draws: Tensor) -> Interval:
    low, high = draws.quantile(torch.tensor([OUTSIDE, 1 - OUTSIDE])).tolist()
    return value, min(low, value), max(high, value)
