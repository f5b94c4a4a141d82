"""The settings of ship, and the constants of its two presets."""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from pydantic import Field

from headgraft.models.learners.prompt_tuning import PromptTuningConfig
from headgraft.models.methods.ship.prompt_vae import PromptVaeConfig
from headgraft.models.settings import MethodSettings


@dataclass(frozen=True)
class ShipConstants:
    """The constants of the two trainings: the autoencoder's, and the classifier's prompt."""

    autoencoder: PromptVaeConfig
    classifier: PromptTuningConfig


CONSTANTS: dict[str, ShipConstants] = {
    "default": ShipConstants(PromptVaeConfig(), PromptTuningConfig(residual=False)),
    "paper": ShipConstants(
        PromptVaeConfig(batch_size=256, steps=1_000_000),
        # The authors' 200 epochs are 10,000 batches where 800 classes have 16 features each.
        PromptTuningConfig(
            learning_rate=2e-3, steps=10_000, classes=0, residual=False, cosine_decay=True
        ),
    ),
}


class ShipSettings(MethodSettings):
    """What a user chooses; the rest are the constants of the preset."""

    PRESETS = MappingProxyType({("preset", "paper"): {"features_per_class": 16}})

    preset: Literal["default", "paper"] = Field(
        "default", description="Constants of the trainings: few steps, or those of the authors."
    )
    virtual_per_class: int = Field(16, ge=1, le=10_000, description="Virtual features drawn.")
    features_per_class: int = Field(2, ge=1, le=10_000, description="Of each unseen class.")
    seed: int = Field(0, ge=0, le=2**31 - 1, description="Seed of weights and draws.")

    @property
    def constants(self) -> ShipConstants:
        """The constants of the preset."""
        return CONSTANTS[self.preset]
