"""The settings of msdn, and the constants of its training."""

from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

from pydantic import Field, JsonValue

from headgraft.models.settings import MethodSettings

# The release's, which stops at the epoch that is best on test data: here all epochs are trained.
PAPERS: dict[str, dict[str, JsonValue]] = {
    "paper": {
        "calibration": 0.1, "distillation": 0.001, "epochs": 30, "alpha": 0.9, "margin": 1.0,
    },
    "paper_sun": {
        "calibration": 0.0001, "distillation": 0.01, "epochs": 70, "alpha": 0.7, "margin": 1.0,
    },
    "paper_awa2": {
        "calibration": 0.12, "distillation": 1e-7, "epochs": 50, "alpha": 1.0, "margin": 1.0,
        "zero_negatives": True,
    },
}  # fmt: skip


@dataclass(frozen=True)
class MsdnConstants:
    """How the nets are trained.

    `hold_out` is the share of seen classes, and of pictures, to stop by (0: none), `patience` the
    epochs without gain before that. An epoch has `min_steps_per_epoch` steps at least: few
    pictures are shown again. `balanced` batches show every class alike often.
    """

    hold_out: float = 0.2
    patience: int = 5
    batch_size: int = 50
    min_steps_per_epoch: int = 40
    balanced: bool = False
    optimizer: Literal["adam", "rmsprop"] = "adam"
    learning_rate: float = 3e-3
    weight_decay: float = 1e-4
    momentum: float = 0.9


_PAPER = MsdnConstants(hold_out=0.0, min_steps_per_epoch=1, optimizer="rmsprop", learning_rate=1e-4)
CONSTANTS = {
    "default": MsdnConstants(),
    "paper": _PAPER,
    "paper_sun": replace(_PAPER, balanced=True),
    "paper_awa2": replace(_PAPER, balanced=True, momentum=0.0),
}


class MsdnSettings(MethodSettings):
    """The choices of the training; a paper's preset sets absent ones to the authors' value."""

    PRESETS = MappingProxyType({("preset", name): values for name, values in PAPERS.items()})

    preset: Literal["default", "paper", "paper_sun", "paper_awa2"] = Field(
        "default", description="Constants where absent; the authors' for CUB, SUN and AWA2."
    )
    epochs: int = Field(30, ge=1, le=10_000, description="At most, where pictures are held out.")
    calibration: float = Field(
        0.1, ge=0, le=1000, description="Weight of the unseen classes' probability in the loss."
    )
    distillation: float = Field(
        0.01, ge=0, le=1000, description="Weight of what the two nets ask of each other."
    )
    nets: Literal["both", "regions", "attributes"] = Field(
        "both", description="Which to train: attention over regions, over attributes, or both."
    )
    alpha: float | None = Field(
        None, ge=0, le=1, description="Share of the net over regions; null: by pictures held out."
    )
    margin: float | None = Field(
        None, ge=-1000, le=1000, description="Added to unseen, taken from seen logits; null: same."
    )
    zero_negatives: bool = Field(False, description="Take negative class attributes for 0.")
    seed: int = Field(0, ge=0, le=2**31 - 1, description="Seed of weights and batches.")

    @property
    def constants(self) -> MsdnConstants:
        """The constants of the preset."""
        return CONSTANTS[self.preset]
