"""Corrects what a simulated injection says, by what was seen on a population of heads.

On the logit scale: real = offset + slope * expected + per_accuracy * the head's accuracy, give or
take a deviation. Fitted by tests/benchmarks/heads.py; tests/benchmarks/LOG.md says how far the
figures hold on heads that no constant was fitted on.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from headgraft.models.features.labelled import Source

Ground = Literal["rows"] | Source
Part = Literal["T1", "u", "s"]
NEAR_0 = 1e-3


@dataclass(frozen=True)
class Correction:
    """How one accuracy that is expected relates to the real one; all on the logit scale."""

    offset: float = 0.0
    slope: float = 1.0
    per_accuracy: float = 0.0
    deviation: float = 0.0

    def of(self, expected: Tensor, accuracy: float) -> Tensor:
        """Correct expected accuracies, given the head's own; 0 and 1 come out close to them."""
        logit = expected.clamp(NEAR_0, 1 - NEAR_0).logit()
        known = torch.tensor(accuracy).clamp(NEAR_0, 1 - NEAR_0).logit()
        return torch.sigmoid(self.offset + self.slope * logit + self.per_accuracy * known)

    def drawn(self, corrected: Tensor, generator: torch.Generator) -> Tensor:
        """Add to corrected accuracies, one draw each, what the correction itself leaves open."""
        logit = corrected.clamp(NEAR_0, 1 - NEAR_0).logit()
        return torch.sigmoid(logit + self.deviation * torch.randn(logit.shape, generator=generator))


NONE = Correction()
CORRECTIONS: dict[Ground, dict[Part, Correction]] = {
    "rows": {
        "T1": Correction(deviation=1.1),
        "u": Correction(deviation=1.2),
        "s": Correction(deviation=1.0),
    },
    "generic": {
        "T1": Correction(offset=1.08, deviation=0.42),
        "u": Correction(offset=1.01, deviation=0.53),
        "s": Correction(-0.37, 0.69, 0.46, 0.66),
    },
    "unlabelled": {
        "T1": Correction(deviation=0.22),
        "u": Correction(offset=-0.13, deviation=0.19),
        "s": Correction(-0.77, 0.43, 0.47, 0.32),
    },
    "labelled": {
        "T1": Correction(deviation=0.21),
        "u": Correction(deviation=0.17),
        "s": Correction(deviation=0.17),
    },
}
# Of the old classes, where the head's own accuracy is known.
KNOWN: dict[Ground, Correction] = {
    "rows": Correction(deviation=0.52),
    "generic": Correction(-0.57, 0.55, 0.78, 0.32),
    "unlabelled": Correction(-0.76, 0.44, 0.48, 0.18),
    "labelled": Correction(deviation=0.17),
}


def correction(ground: Ground, part: Part, *, known: bool) -> Correction:
    """Return the correction of one accuracy; `known`: of a head whose own accuracy is."""
    return KNOWN[ground] if known and part == "s" else CORRECTIONS[ground][part]
