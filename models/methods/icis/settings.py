"""The settings of icis, and the constants of its training."""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from pydantic import Field

from headgraft.models.methods.icis.autoencoders import Terms
from headgraft.models.settings import MethodSettings


@dataclass(frozen=True)
class IcisConstants:
    """What cannot be tuned without images: sizes, steps and the spread of initial weights."""

    hidden_size: int = 2048
    learning_rate: float = 5e-3
    batch_size: int = 256
    init_std: float = 0.02


CONSTANTS = {
    "default": IcisConstants(),
    "faithful": IcisConstants(learning_rate=1e-5, batch_size=16),
}


class IcisSettings(MethodSettings):
    """The choices of the training; `faithful` sets what is absent to the authors' value."""

    PRESETS = MappingProxyType({("faithful", True): {"centre": False, "epochs": 1000}})

    faithful: bool = Field(False, description="The authors' loop, and their constants if absent.")
    terms: Terms = Field("all", description="Terms of the loss, as the paper's ablation adds them.")
    loss: Literal["cosine", "mse"] = Field("cosine", description="Distance in each loss term.")
    layers: int = Field(1, ge=1, le=8, description="Layers of each encoder and decoder.")
    epochs: int = Field(200, ge=1, le=100_000, description="Epochs at most.")
    early_stop: bool = Field(True, description="End before the last epoch.")
    normalise: bool = Field(True, description="Scale class embeddings to unit length first.")
    centre: bool = Field(True, description="Subtract the seen class embeddings' mean first.")
    seed: int = Field(0, ge=0, le=2**31 - 1, description="Seed of weights and batches.")
    scale: float = Field(
        0.0, ge=0, le=100, description="Injected rows' distance from the mean row; 0: as predicted."
    )

    @property
    def constants(self) -> IcisConstants:
        """The constants of the authors' loop or of ours."""
        return CONSTANTS["faithful" if self.faithful else "default"]
