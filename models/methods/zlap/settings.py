"""The settings of zlap, and the constants of its two presets."""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from pydantic import Field

from headgraft.models.learners.cosine_classifier import CosineClassifierConfig
from headgraft.models.settings import MethodSettings
from headgraft.models.synthesis.virtual_features import VirtualFeaturesConfig
from headgraft.models.synthesis.wgan import WganConfig


@dataclass(frozen=True)
class ZlapConstants:
    """The constants of the stages; `hidden_size` is that of the prototype network."""

    virtual: VirtualFeaturesConfig
    gan: WganConfig
    prototypes: CosineClassifierConfig
    hidden_size: int = 1024


CONSTANTS: dict[str, ZlapConstants] = {
    "default": ZlapConstants(
        virtual=VirtualFeaturesConfig(steps=0, count=30),
        gan=WganConfig(
            hidden_size=1024,
            steps=300,
            batch_size=128,
            critic_steps=1,
            learning_rate=1e-3,
            scale_embeddings=True,
        ),
        prototypes=CosineClassifierConfig(
            temperature=0.04, learning_rate=1e-3, weight_decay=1e-4, epochs=1, batch_size=512
        ),
    ),
    "paper": ZlapConstants(
        virtual=VirtualFeaturesConfig(steps=0, count=100),
        gan=WganConfig(steps=10_000),
        prototypes=CosineClassifierConfig(
            temperature=0.04,
            learning_rate=1e-4,
            weight_decay=1e-4,
            epochs=60,
            batch_size=512,
            halve_after=30,
        ),
    ),
}


class ZlapSettings(MethodSettings):
    """What a user chooses; the rest are the constants of the preset."""

    PRESETS = MappingProxyType({("preset", "paper"): {"centre": False, "scale_features": True}})

    preset: Literal["default", "paper"] = Field(
        "default", description="Constants of the trainings: few steps, or those of the authors."
    )
    centre: bool = Field(True, description="Subtract the seen class embeddings' mean first.")
    scale_features: bool = Field(False, description="To [0, 1], if the head is linear with a bias.")
    r: float = Field(60, gt=0, le=1e6, description="Seen to unseen odds: larger favours unseen.")
    features_per_class: int = Field(10, ge=1, le=10_000, description="Of each unseen class.")
    seed: int = Field(0, ge=0, le=2**31 - 1, description="Seed of weights and draws.")

    @property
    def constants(self) -> ZlapConstants:
        """The constants of the preset."""
        return CONSTANTS[self.preset]
