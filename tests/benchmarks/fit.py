"""Fits how what a simulation says of a head relates to what pictures show.

On the logit scale, over the outcomes of several heads, each network weighing alike.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from statistics import mean
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from headgraft.models.metrics import harmonic_mean, weighted_mean
from headgraft.models.selection import corrections
from headgraft.models.selection.corrections import NEAR_0, NONE, Correction, Part
from headgraft.models.selection.estimate import DRAWS, OUTSIDE, AccuracyInterval
from tests.benchmarks.population import network_of

if TYPE_CHECKING:
    from tests.benchmarks.heads import Outcome

# Which constants of a correction are fitted; the slope of the others is 1. A slope of less would
# promise something even of class embeddings that tell nothing.
FREE: dict[str, dict[Part, str]] = {
    "rows": {"T1": "", "u": "", "s": ""},
    "generic": {"T1": "offset", "u": "offset", "s": "offset slope accuracy"},
    "unlabelled": {"T1": "", "u": "offset", "s": "offset slope accuracy"},
    "labelled": {"T1": "", "u": "", "s": ""},
}
SHRINKING = 0.01
NEAR_CHANCE = 0.05  # of T1
NORMAL_90 = 1.645


@contextmanager
def without_corrections() -> Iterator[None]:
    """Let estimates say what the simulation says, as long as the block runs."""
    usual, known = dict(corrections.CORRECTIONS), dict(corrections.KNOWN)
    for ground in usual:
        corrections.CORRECTIONS[ground] = dict.fromkeys(usual[ground], NONE)
        corrections.KNOWN[ground] = NONE
    try:
        yield
    finally:
        corrections.CORRECTIONS.update(usual)
        corrections.KNOWN.update(known)


def fitted(outcomes: Sequence["Outcome"], ground: str, part: Part) -> Correction:
    """Fit the correction of one accuracy.

    The deviation is that of heads from each other: the interval has the spread of classes and
    pictures already. Rows that class embeddings seem to tell nothing of do not count for it.
    """
    free = FREE[ground][part]
    if ground == "rows":
        outcomes = [one for one in outcomes if one.uncorrected.T1.value > NEAR_CHANCE]
    expected_N = _logit([getattr(one.uncorrected, part).value for one in outcomes])
    real_N = _logit([one.truth(part) for one in outcomes])
    # Generic pictures do not tell the accuracy, but what depends on it can be fitted where it is.
    known_N = _logit([one.own if ground == "generic" else one.accuracy for one in outcomes])
    columns = {"slope": expected_N, "accuracy": known_N, "offset": torch.ones_like(real_N)}
    chosen = {name: column for name, column in columns.items() if name in free}
    target_N = real_N if "slope" in free else real_N - expected_N
    found = dict(zip(chosen, _solve(outcomes, list(chosen.values()), target_N), strict=True))
    slope, per_accuracy = found.get("slope", 1.0), found.get("accuracy", 0.0)
    offset = found.get("offset", 0.0)
    taken_N = _logit([one.accuracy for one in outcomes])
    left_N = real_N - (offset + slope * expected_N + per_accuracy * taken_N)
    of_heads: dict[str, list[float]] = defaultdict(list)
    for one, left in zip(outcomes, left_N.tolist(), strict=True):
        of_heads[one.case].append(left)
    deviation = mean(mean(left) ** 2 for left in of_heads.values()) ** 0.5
    return Correction(offset, slope, per_accuracy, deviation)


def _solve(outcomes: Sequence["Outcome"], columns: list[Tensor], target_N: Tensor) -> list[float]:
    if not columns:
        return []
    networks = Counter(network_of(one.case) for one in outcomes)
    weight_N = torch.tensor([networks[network_of(one.case)] for one in outcomes]).rsqrt()
    inputs_NF = torch.stack(columns, dim=1) * weight_N[:, None]
    normal_FF = inputs_NF.T @ inputs_NF + SHRINKING * torch.eye(len(columns))
    found: list[float] = torch.linalg.solve(normal_FF, inputs_NF.T @ (target_N * weight_N)).tolist()
    return found


def promised(one: "Outcome", rules: Mapping[Part, Correction]) -> dict[str, AccuracyInterval]:
    """Return the promise that corrections make of one outcome."""
    generator = torch.Generator().manual_seed(0)
    values: dict[str, float] = {}
    drawn: dict[str, Tensor] = {}
    for part, rule in rules.items():
        value = torch.tensor(getattr(one.uncorrected, part).value)
        values[part] = float(rule.of(value, one.accuracy))
        spread = abs(rule.slope) * _spread(one, part)
        deviation = (spread**2 + rule.deviation**2) ** 0.5
        centre = torch.tensor(values[part]).expand(DRAWS)
        drawn[part] = Correction(deviation=deviation).drawn(centre, generator)
    values["H"] = harmonic_mean(values["u"], values["s"])
    drawn["H"] = weighted_mean(drawn["u"], drawn["s"], 1.0)
    ends = torch.tensor([OUTSIDE, 1 - OUTSIDE])
    return {
        name: AccuracyInterval(value, *drawn[name].quantile(ends).tolist())
        for name, value in values.items()
    }


def _spread(one: "Outcome", part: Part) -> float:
    """Return the deviation of classes and pictures that the interval has, on the logit scale."""
    figure = getattr(one.uncorrected, part)
    low, high = _logit([max(figure.low, 0.01), min(figure.high, 0.99)]).tolist()
    return float(max(high - low, 0.0) / 2 / NORMAL_90)


def _logit(values: Sequence[float]) -> Tensor:
    return torch.tensor(values).clamp(NEAR_0, 1 - NEAR_0).logit()
