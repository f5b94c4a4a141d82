"""The constants of msdn, and whose they are; it does not know what is done with them."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from headgraft.models.methods.msdn.training import Recipe
from headgraft.models.settings import filled

# The release's, which stops at the epoch that is best on test data: here all epochs are walked.
_PAPER = {
    "hold_out": 0.0, "batch_size": 50, "descent": "rmsprop", "learning_rate": 1e-4,
    "weight_decay": 1e-4, "margin": 1.0, "steps_min": 1,
}  # fmt: skip
PAPERS: dict[str, dict[str, Any]] = {
    "paper": {
        **_PAPER, "calibration": 0.1, "distillation": 0.001, "momentum": 0.9, "epochs": 30,
        "alpha": 0.9,
    },
    "paper_sun": {
        **_PAPER, "calibration": 0.0001, "distillation": 0.01, "momentum": 0.9, "epochs": 70,
        "alpha": 0.7, "balanced": True,
    },
    "paper_awa2": {
        **_PAPER, "calibration": 0.12, "distillation": 1e-7, "momentum": 0.0, "epochs": 50,
        "alpha": 1.0, "balanced": True, "zero_negatives": True,
    },
}  # fmt: skip


class Settings(BaseModel):
    """The constants of the training; a paper's preset sets absent ones to the authors' value."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    preset: Literal["default", "paper", "paper_sun", "paper_awa2"] = Field(
        "default", description="Constants where absent; the authors' for CUB, SUN and AWA2."
    )
    epochs: int = Field(30, ge=1, le=10_000, description="At most, where pictures are held out.")
    hold_out: float = Field(
        0.2,
        ge=0,
        le=0.5,
        description="Share of seen classes, and of pictures, to stop by; 0: none.",
    )
    patience: int = Field(5, ge=1, le=10_000, description="Epochs without gain before it stops.")
    batch_size: int = Field(50, ge=1, le=4096, description="Pictures a step.")
    steps_min: int = Field(
        40, ge=1, le=10_000, description="Steps of an epoch: few pictures are walked over again."
    )
    balanced: bool = Field(False, description="Show every class alike often.")
    descent: Literal["adam", "rmsprop"] = Field("adam", description="How the nets are learned.")
    learning_rate: float = Field(3e-3, gt=0, le=1, description="Of the descent.")
    weight_decay: float = Field(1e-4, ge=0, le=1, description="Of the descent.")
    momentum: float = Field(0.9, ge=0, lt=1, description="Of rmsprop.")
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

    def recipe(self) -> Recipe:
        """Return the constants of a training."""
        return Recipe(**self.model_dump(include=set(Recipe.__dataclass_fields__)))

    @model_validator(mode="before")
    @classmethod
    def _as_a_paper(cls, given: Any) -> Any:
        for preset, published in PAPERS.items():
            given = filled(given, "preset", preset, published)
        return given
