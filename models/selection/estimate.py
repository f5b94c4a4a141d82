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
from headgraft.models.selection.corrections import NONE, Correction, Ground, Part, correction
from headgraft.models.selection.trade_off import SCALES, TradeOff

Prefer = Literal["old", "balanced", "new"]
Measure = Literal["T1", "u", "s", "H"]
PARTS: tuple[Part, ...] = ("T1", "u", "s")
UNSEEN_WEIGHT: dict[Prefer, float] = {"old": 0.33, "balanced": 1.0, "new": 3.0}
STEP = log(SCALES[1] / SCALES[0])
# Rows are best a little longer than generic pictures say, which look like no class at all.
GENERIC_STEPS = 2
# Without pictures, rows of a regression are not made longer than this: where features that are
# simulated ask for more, rows on real features were mostly best at less.
LONGEST = 1.4
LONGEST_AT = round(log(LONGEST / SCALES[0]) / STEP)
TRUST = 0.75  # in the first of two feature models, of a weight of 1
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

    `pictures` counts the features they were read off, labelled or not (`ground`); 0: virtual ones.
    """

    T1: AccuracyInterval
    u: AccuracyInterval
    s: AccuracyInterval
    H: AccuracyInterval
    reasons: tuple[str, ...] = ()
    pictures: int = 0
    ground: Ground = "rows"


@dataclass(frozen=True, eq=False)
class Simulation:
    """One simulated injection: on simulated features, or on real ones, `pictures_S` a class.

    `accuracy` is the head's own; `known`: not assumed or estimated. Where several feature models
    were simulated, `models` are the results on each, the most trusted first, and `trade_off` all
    their groups. `longest`: no scale beyond LONGEST is chosen for balance.
    """

    trade_off: TradeOff
    pictures_S: Tensor | None = None
    ground: Ground = "rows"
    accuracy: float = 0.5
    known: bool = False
    models: tuple[TradeOff, ...] = ()
    longest: bool = False

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
        return _value(self.trade_off, prefer)

    def expected(self, at: int) -> tuple[float, float, float]:
        """Return u, s and H at one of the scales, corrected."""
        u = self.corrected("u", self.u(at).mean())
        s = self.corrected("s", self.s(at).mean())
        return float(u), float(s), harmonic_mean(float(u), float(s))

    def corrected(self, part: Part, expected: Tensor) -> Tensor:
        """Correct accuracies of one kind that this simulation says."""
        rule = self.correction(part)
        return expected if rule == NONE else rule.of(expected, self.accuracy)

    def correction(self, part: Part) -> Correction:
        """Return the correction of accuracies of one kind."""
        return correction(self.ground, part, known=self.known)

    def choose(self, prefer: Prefer, seen_loss: float | None) -> int:
        """Choose the index of a scale: that of the best value, or of most u within a loss of s.

        Where no scale `gains`, the default is a loss of LOSS_MAX.
        """
        if seen_loss is None and prefer == "balanced" and not self.gains:
            seen_loss = LOSS_MAX
        if seen_loss is None:
            return self._best(prefer)
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

    def _best(self, prefer: Prefer) -> int:
        """Choose between the best scales of the feature models, moved by what is known of them."""
        last = len(SCALES) - 1
        best = [self._best_of(model, prefer) for model in self.models or (self.trade_off,)]
        at = best[0] if len(best) == 1 else round(TRUST * best[0] + (1 - TRUST) * best[1])
        return min(at + (GENERIC_STEPS if self.ground == "generic" else 0), last)

    def _best_of(self, model: TradeOff, prefer: Prefer) -> int:
        at = int(_value(model, prefer).argmax())
        if not self.longest:
            return at
        balanced = int(_value(model, "balanced").argmax())
        # Who prefers new classes gets longer rows all the same.
        return max(0, min(balanced, LONGEST_AT) + at - balanced)


def _value(trade_off: TradeOff, prefer: Prefer) -> Tensor:
    u_T, s_T = trade_off.u_GT.mean(dim=0), trade_off.s_GT.mean(dim=0)
    penalty_T = FLATNESS * torch.tensor(SCALES).log().abs()
    return weighted_mean(u_T, s_T, UNSEEN_WEIGHT[prefer]) - penalty_T


def estimate(
    simulation: Simulation, at: int, reasons: tuple[str, ...] = (), *, unseen: int
) -> HeadEstimate:
    """Read the expected accuracies at one of the scales, with 90 % intervals.

    `unseen` classes are injected; one is always right among itself.
    """
    generator = torch.Generator().manual_seed(0)
    values: dict[Measure, float] = {}
    drawn: dict[Measure, Tensor] = {}
    for part in PARTS:
        expected, draws = _draws(simulation, part, at, unseen, generator)
        values[part] = float(simulation.corrected(part, torch.tensor(expected)))
        corrected = simulation.corrected(part, draws.clamp(0, 1))
        rule = simulation.correction(part)
        drawn[part] = rule.drawn(corrected, generator) if rule.deviation else corrected
    values["H"] = harmonic_mean(values["u"], values["s"])
    drawn["H"] = weighted_mean(drawn["u"], drawn["s"], 1.0)
    figures = {name: _interval(value, drawn[name]) for name, value in values.items()}
    if unseen == 1:
        figures["T1"] = AccuracyInterval(1.0, 1.0, 1.0)
    return HeadEstimate(
        **figures, reasons=reasons, pictures=simulation.pictures, ground=simulation.ground
    )


def _draws(
    simulation: Simulation, part: Part, at: int, unseen: int, generator: torch.Generator
) -> tuple[float, Tensor]:
    """Return an accuracy that the simulation says, and draws of it: of classes and pictures."""
    of_groups_G = {"T1": simulation.T1, "u": simulation.u, "s": simulation.s}[part](at)
    value = float(of_groups_G.mean())
    if simulation.pictures_S is not None:
        return value, resampled(
            simulation.trade_off, simulation.pictures_S, at, unseen, part, generator
        )
    # The groups differ by which classes are injected. A delivered head has one such group, so its
    # interval has their whole spread, not that of their mean.
    spread = float(of_groups_G.std()) if len(of_groups_G) > 1 else 0.0
    return value, value + spread * torch.randn(DRAWS, generator=generator)


def unknown_estimate(reason: str) -> HeadEstimate:
    """Return an estimate of the widest intervals, with the reason."""
    nothing = AccuracyInterval(0.5, 0.0, 1.0)
    return HeadEstimate(nothing, nothing, nothing, nothing, (reason,))


def resampled(
    trade_off: TradeOff,
    pictures_S: Tensor,
    at: int,
    unseen: int,
    part: Part,
    generator: torch.Generator,
) -> Tensor:
    """Return DRAWS of T1, u or s at a scale, not yet held within [0, 1].

    A bootstrap over classes: the mean of the hidden classes is uncertain, as another draw of them
    would show, and the injected ones are `unseen` further classes of the same kind. The binomial
    noise of the pictures keeps an interval from closing where all were alike.
    """
    values_G, shares_S = {
        "T1": (trade_off.T1_GT[:, at], trade_off.own_ST[:, at]),
        "u": (trade_off.u_GT[:, at], trade_off.hits_ST[:, at]),
        "s": (trade_off.s_GT[:, at], trade_off.kept_ST[:, at]),
    }[part]
    shown_S = ~shares_S.isnan()
    value = float(values_G.mean())
    # The old classes stay the same; the new ones are others than those that were hidden.
    further = None if part == "s" else unseen
    spread = _resampled_spread(shares_S[shown_S], further, generator)
    return value + spread + _noise(value, int(pictures_S[shown_S].sum()), generator)


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


def _interval(value: float, draws: Tensor) -> AccuracyInterval:
    low, high = draws.quantile(torch.tensor([OUTSIDE, 1 - OUTSIDE])).tolist()
    return AccuracyInterval(value, min(low, value), max(high, value))
