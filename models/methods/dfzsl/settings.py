"""The settings of dfzsl, and the constants of its two presets."""

from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

from pydantic import Field

from headgraft.models.learners.cosine_classifier import CosineClassifierConfig
from headgraft.models.learners.prompt_tuning import PromptTuningConfig
from headgraft.models.settings import MethodSettings
from headgraft.models.synthesis.tfvaegan import TfvaeganConfig
from headgraft.models.synthesis.virtual_features import VirtualFeaturesConfig


@dataclass(frozen=True)
class DfzslConstants:
    """The constants of the stages, in their order.

    `embedding_tuning` takes the place of `tuning` where no text tower is at hand.
    """

    virtual: VirtualFeaturesConfig
    tuning: PromptTuningConfig
    embedding_tuning: PromptTuningConfig
    gan: TfvaeganConfig
    rows: CosineClassifierConfig


_TUNING = PromptTuningConfig(learning_rate=1e-3, residual=False)
_PAPER_TUNING = PromptTuningConfig(batch_size=4, steps=None, classes=0)

CONSTANTS: dict[str, DfzslConstants] = {
    "default": DfzslConstants(
        virtual=VirtualFeaturesConfig(steps=300, draws=1, classes=256, count=10),
        tuning=_TUNING,
        embedding_tuning=replace(_TUNING, steps=0),
        gan=TfvaeganConfig(
            epochs=1,
            steps=50,
            critic_steps=1,
            critic_rate=1e-4,
            generator_rate=1e-3,
            encoder_rate=1e-3,
            features_per_class=10,
        ),
        rows=CosineClassifierConfig(epochs=5, batch_size=512),
    ),
    "paper": DfzslConstants(
        virtual=VirtualFeaturesConfig(steps=1000, draws=50, classes=0, count=200),
        tuning=_PAPER_TUNING,
        embedding_tuning=_PAPER_TUNING,
        gan=TfvaeganConfig(),
        rows=CosineClassifierConfig(epochs=100, batch_size=1800),
    ),
}


class DfzslSettings(MethodSettings):
    """What a user chooses; the rest are the constants of the preset."""

    PRESETS = MappingProxyType({("preset", "paper"): {"generator": "tfvaegan"}})

    preset: Literal["default", "paper"] = Field(
        "default", description="Constants of the trainings: few steps, or those of the authors."
    )
    mode: Literal["black_box", "white_box"] = Field(
        "black_box", description="Directions by the head's answers, or by its gradient."
    )
    replace_seen: bool = Field(
        False, description="Give old classes the trained rows too; the old ones are lost."
    )
    generator: Literal["tfvaegan", "text"] = Field(
        "text", description="Makes unseen features; text: copies of the tuned text."
    )
    filter_by_head: bool = Field(
        True, description="Keep only the virtual features that the head assigns to their class."
    )
    adjust: bool = Field(True, description="Adjust the logits in training by the odds r.")
    r: float = Field(1, gt=0, le=1e6, description="Seen to unseen odds: larger favours unseen.")
    seed: int = Field(0, ge=0, le=2**31 - 1, description="Seed of weights and draws.")

    @property
    def constants(self) -> DfzslConstants:
        """The constants of the preset, with what is chosen of the virtual features."""
        constants = CONSTANTS[self.preset]
        virtual = replace(constants.virtual, mode=self.mode, filter_by_head=self.filter_by_head)
        return replace(constants, virtual=virtual)
