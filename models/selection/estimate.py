"""Chooses the length of injected rows (`Simulation.choose`), and says what accuracy to expect.

Both rest on a simulated injection.

Where the constants come from, and how far they were checked, is written in
tests/benchmarks/LOG.md.
"""

from dataclasses import dataclass
from math import log
from typing import Literal

import torch
from torch import Tensor

from headgraft.models.metrics import harmonic_mean, weighted_mean
from headgraft.models.selection.trade_off import SCALES, TradeOff

Prefer = Literal["old", "balanced", "new"]
Measure = Literal["T1", "u", "s", "H"]
Interval = tuple[float, float, float]
UNSEEN_WEIGHT: dict[Prefer, float] = {"old": 0.33, "balanced": 1.0, "new": 3.0}
NORMAL_90 = 1.645
STEP = log(SCALES[1] / SCALES[0])
# How far the feature model itself is off, as a standard deviation, in accuracy.
MODEL_DEVIATION = 0.05
# With poor embeddings the best scale of the simulation is smaller than that of real pictures. This,
# less for a higher expected T1, is added to its logarithm: half of the difference measured on half
# of the folds of one head, since other heads have less.
TILT_AT_0, TILT_PER_T1 = 0.25, -0.36
# Taken off the objective for each unit of the scale's distance from 1, in logarithms.
FLATNESS = 0.002
DRAWS = 2000
OUTSIDE = 0.05  # on each side of the interval
# What old classes may lose where the new ones gain next to nothing, and how much that is.
LOSS_MAX, GAIN_MIN = 0.02, 0.02
ELEMENTS_MAX = 4_000_000  # of one matrix of drawn classes


@dataclass(frozen=True)
class AccuracyInterval:
    """An expected accuracy in [0, 1] and its 90 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class HeadEstimate:
    """Expected T1, u, s and H of a head; `reasons` say what they rest on and why they may be wrong.

    `pictures` counts the labelled features they were read off; 0: virtual ones.
    """

    T1: AccuracyInterval
    u: AccuracyInterval
    s: AccuracyInterval
    H: AccuracyInterval
    reasons: tuple[str, ...] = ()
    pictures: int = 0


@dataclass(frozen=True, eq=False)
class Simulation:
    """One simulated injection: on simulated features, or on real ones, `pictures_S` a class."""

    trade_off: TradeOff
    pictures_S: Tensor | None = None

    @property
    def pictures(self) -> int:
        """The number of real pictures it rests on; 0 for simulated features."""
        return 0 if self.pictures_S is None else int(self.pictures_S.sum())

    def T1(self, at: int) -> Tensor:
        """Return T1 (G,) at one of the scales."""
        return self.trade_off.T1_GT[:, at]

    def u(self, at: int) -> Tensor:
        """Return u (G,) at one of the scales."""
        return self.trade_off.u_GT[:, at]

    def s(self, at: int) -> Tensor:
        """Return s (G,) at one of the scales."""
        return self.trade_off.s_GT[:, at]

    @property
    def u_T(self) -> Tensor:
        """Return u (T,) at all scales."""
        return self.trade_off.u_GT.mean(dim=0)

    def value(self, prefer: Prefer) -> Tensor:
        """Return the objective (T,): a harmonic mean of u and s, weighted by preference."""
        u_T, s_T = self.u_T, self.trade_off.s_GT.mean(dim=0)
        penalty_T = FLATNESS * torch.tensor(SCALES).log().abs()
        return weighted_mean(u_T, s_T, UNSEEN_WEIGHT[prefer]) - penalty_T

    def expected(self, at: int) -> tuple[float, float, float]:
        """Return u, s and H at one of the scales."""
        u, s = float(self.u_T[at]), float(self.trade_off.s_GT[:, at].mean())
        return u, s, harmonic_mean(u, s)

    def choose(self, prefer: Prefer, seen_loss: float | None) -> int:
        """Choose the index of a scale: that of the best value, or of most u within a loss of s.

        Where no scale `gains`, the default is a loss of LOSS_MAX.
        """
        if seen_loss is None and prefer == "balanced" and not self.gains:
            seen_loss = LOSS_MAX
        if seen_loss is None:
            return self._tilted(int(self.value(prefer).argmax()))
        allowed = (self._loss_T <= seen_loss).nonzero()[:, 0]
        if not len(allowed):
            return int(self._loss_T.argmin())
        return int(allowed[self.u_T[allowed].argmax()])

    def worth(self, at: int, prefer: Prefer, seen_loss: float | None) -> float:
        """Return the number by which choices are compared: the more, the better."""
        return float((self.value(prefer) if seen_loss is None else self.u_T)[at])

    def loss(self, at: int) -> float:
        """Return how much of s is lost at one of the scales."""
        return float(self._loss_T[at])

    @property
    def gains(self) -> bool:
        """Tell whether a scale gains at least half as much in new classes as it costs in old."""
        return bool((2 * self.u_T - self._loss_T).max() >= GAIN_MIN)

    @property
    def _loss_T(self) -> Tensor:
        loss_T: Tensor = (self.trade_off.s_before_G[:, None] - self.trade_off.s_GT).mean(dim=0)
        return loss_T

    def _tilted(self, at: int) -> int:
        if self.pictures:
            return at
        tilt = max(0.0, TILT_AT_0 + TILT_PER_T1 * float(self.T1(at).mean()))
        return min(at + round(tilt / STEP), len(SCALES) - 1)


def estimate(
    simulation: Simulation, at: int, reasons: tuple[str, ...] = (), *, unseen: int
) -> HeadEstimate:
    """Read the expected accuracies at one of the scales, with 90 % intervals.

    `unseen` classes are injected; one is always right among itself.

    The estimates of the groups differ by which classes are injected. A delivered head has one such
    group, so its interval has their whole spread, not that of their mean.
    """
    if simulation.pictures_S is not None:
        drawn = resampled(simulation.trade_off, simulation.pictures_S, at, unseen)
        figures = {name: AccuracyInterval(*interval) for name, interval in drawn.items()}
        return HeadEstimate(**figures, reasons=reasons, pictures=simulation.pictures)
    u_G, s_G = simulation.u(at), simulation.s(at)
    H = harmonic_mean(float(u_G.mean()), float(s_G.mean()))
    spread_H = _spread(weighted_mean(u_G, s_G, 1.0))
    return HeadEstimate(
        T1=AccuracyInterval(1.0, 1.0, 1.0) if unseen == 1 else _figure(simulation.T1(at)),
        u=_figure(u_G),
        s=_figure(s_G),
        H=_interval(H, spread_H),
        reasons=reasons,
    )


def unknown_estimate(reason: str) -> HeadEstimate:
    """Return an estimate of the widest intervals, with the reason."""
    nothing = AccuracyInterval(0.5, 0.0, 1.0)
    return HeadEstimate(nothing, nothing, nothing, nothing, (reason,))


def _figure(values_G: Tensor) -> AccuracyInterval:
    return _interval(float(values_G.mean()), _spread(values_G))


def _spread(values_G: Tensor) -> float:
    return float(values_G.std()) if len(values_G) > 1 else 0.0


def _interval(value: float, spread: float) -> AccuracyInterval:
    half = float(NORMAL_90 * (MODEL_DEVIATION**2 + spread**2) ** 0.5)
    return AccuracyInterval(value, max(0.0, value - half), min(1.0, value + half))


def resampled(
    trade_off: TradeOff, pictures_S: Tensor, at: int, unseen: int
) -> dict[Measure, Interval]:
    """Return T1, u, s and H at a scale, each as value and 90 % interval (low, high).

    A bootstrap over classes: the mean of the hidden classes is uncertain, as another draw of them
    would show, and the injected ones are `unseen` further classes of the same kind. The binomial
    noise of the pictures keeps an interval from closing where all were alike.
    """
    generator = torch.Generator().manual_seed(0)
    columns: dict[Measure, tuple[Tensor, Tensor]] = {
        "T1": (trade_off.T1_GT[:, at], trade_off.own_ST[:, at]),
        "u": (trade_off.u_GT[:, at], trade_off.hits_ST[:, at]),
        "s": (trade_off.s_GT[:, at], trade_off.kept_ST[:, at]),
    }
    values: dict[Measure, float] = {}
    drawn: dict[Measure, Tensor] = {}
    for name, (values_G, shares_S) in columns.items():
        shown_S = ~shares_S.isnan()
        shares_M = shares_S[shown_S]
        values[name] = float(values_G.mean())
        # The old classes stay the same; the new ones are others than those that were hidden.
        further = None if name == "s" else unseen
        spread = _resampled_spread(shares_M, further, generator)
        noise = _noise(values[name], int(pictures_S[shown_S].sum()), generator)
        drawn[name] = (values[name] + spread + noise).clamp(0, 1)
    drawn["H"] = weighted_mean(drawn["u"], drawn["s"], 1.0)
    values["H"] = harmonic_mean(values["u"], values["s"])
    intervals = {name: _quantiles(value, drawn[name]) for name, value in values.items()}
    if unseen == 1:
        intervals["T1"] = (1.0, 1.0, 1.0)
    return intervals


def _resampled_spread(shares_M: Tensor, further: int | None, generator: torch.Generator) -> Tensor:
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


def _quantiles(value: float, draws: Tensor) -> Interval:
    low, high = draws.quantile(torch.tensor([OUTSIDE, 1 - OUTSIDE])).tolist()
    return value, min(low, value), max(high, value)
