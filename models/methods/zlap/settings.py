"""The constants of zlap, and whose they are; it does not know what is done with them."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from headgraft.models.learners import cosine_classifier
from headgraft.models.settings import filled
from headgraft.models.synthesis import wgan

PAPER = {
    "centre": False, "scale_features": True, "virtual_per_class": 100, "learning_rate": 1e-4,
    "epochs": 60, "gan_steps": 10_000, "gan_hidden_size": 4096, "gan_batch_size": 512,
    "gan_learning_rate": 1e-4, "loud": False, "critic_steps": 5, "r": 60.0,
}  # fmt: skip


class Settings(BaseModel):
    """The constants of the trainings; `preset: paper` sets absent ones to the authors' values."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    preset: Literal["default", "paper"] = Field("default", description="Constants where absent.")
    centre: bool = Field(True, description="Subtract the seen class embeddings' mean first.")
    scale_features: bool = Field(False, description="To [0, 1], if the head is linear with a bias.")
    virtual_per_class: int = Field(30, ge=1, le=10_000, description="Virtual features drawn.")
    features_per_class: int = Field(10, ge=1, le=10_000, description="Of each unseen class.")
    r: float = Field(60, gt=0, le=1e6, description="Seen to unseen odds: larger favours unseen.")
    temperature: float = Field(0.04, gt=0, le=10, description="Divides cosines.")
    hidden_size: int = Field(1024, ge=1, le=65536, description="Of the prototype network.")
    learning_rate: float = Field(1e-3, gt=0, le=1, description="Adam's; halved half way.")
    weight_decay: float = Field(1e-4, ge=0, le=1, description="Of the prototype network.")
    batch_size: int = Field(512, ge=1, le=65536, description="Features a step.")
    epochs: int = Field(1, ge=1, le=10_000, description="Of the prototype network.")
    gan_steps: int = Field(300, ge=1, le=1_000_000, description="Steps of the generator.")
    gan_hidden_size: int = Field(1024, ge=1, le=65536, description="Of generator and critic.")
    gan_batch_size: int = Field(128, ge=1, le=65536, description="Features a step.")
    gan_learning_rate: float = Field(1e-3, gt=0, le=1, description="Adam's, of both.")
    loud: bool = Field(True, description="Tell the GAN class embeddings as long as its noise.")
    critic_steps: int = Field(1, ge=1, le=100, description="Before each of the generator's.")
    seed: int = Field(0, ge=0, le=2**31 - 1, description="Seed of weights and draws.")

    def classifier(self) -> cosine_classifier.Recipe:
        """Return the constants of the prototypes' training."""
        return cosine_classifier.Recipe(
            temperature=self.temperature,
            learning_rate=self.learning_rate,
            epochs=self.epochs,
            batch_size=self.batch_size,
            weight_decay=self.weight_decay,
            halve_after=self.epochs // 2,
        )

    def gan(self, *, positive: bool) -> wgan.Recipe:
        """Return the constants of the generator's training."""
        return wgan.Recipe(
            hidden_size=self.gan_hidden_size,
            steps=self.gan_steps,
            batch_size=self.gan_batch_size,
            critic_steps=self.critic_steps,
            learning_rate=self.gan_learning_rate,
            positive=positive,
            loud=self.loud,
            features_per_class=self.features_per_class,
        )

    @model_validator(mode="before")
    @classmethod
    def _as_the_paper(cls, given: Any) -> Any:
        return filled(given, "preset", "paper", PAPER)
