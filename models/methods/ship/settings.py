"""The constants of ship, and whose they are; it does not know what is done with them."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from headgraft.models.learners import prompt_tuning
from headgraft.models.methods.ship import prompt_vae
from headgraft.models.settings import filled

# 200 epochs of the classifier's prompt are 10,000 batches where 800 classes have 16 features each.
PAPER = {
    "steps": 1_000_000, "batch_size": 256, "features_per_class": 16, "prompt_steps": 10_000,
    "prompt_classes": 0, "prompt_learning_rate": 2e-3, "prompt_descent": "sgd",
}  # fmt: skip


class Settings(BaseModel):
    """The constants of the trainings; `preset` "paper" sets absent ones to the authors' value."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    preset: Literal["default", "paper"] = Field("default", description="Constants where absent.")
    virtual_per_class: int = Field(16, ge=1, le=10_000, description="Virtual features drawn.")
    features_per_class: int = Field(2, ge=1, le=10_000, description="Of each unseen class.")
    hidden_size: int = Field(2048, ge=1, le=65536, description="Of the encoder.")
    generator_size: int = Field(4096, ge=1, le=65536, description="Hidden units, code to prompt.")
    learning_rate: float = Field(1e-3, gt=0, le=1, description="AdamW's, of the autoencoder.")
    batch_size: int = Field(32, ge=1, le=65536, description="Features a step, a prompt each.")
    epochs: int = Field(50, ge=1, le=10_000, description="Of the autoencoder, at most.")
    steps: int = Field(40, ge=1, le=1_000_000, description="Of the autoencoder, at most.")
    prompt_steps: int = Field(24, ge=0, le=1_000_000, description="Of the classifier's prompt.")
    prompt_classes: int = Field(40, ge=0, le=100_000, description="Competing in a step; 0: all.")
    prompt_batch_size: int = Field(256, ge=1, le=65536, description="Features a step.")
    prompt_learning_rate: float = Field(3e-3, gt=0, le=1, description="Of the prompt.")
    prompt_descent: Literal["adamw", "sgd"] = Field(
        "adamw", description="How the prompt is learned; sgd decays by a cosine."
    )
    seed: int = Field(0, ge=0, le=2**31 - 1, description="Seed of weights and draws.")

    def autoencoder(self, features: int) -> prompt_vae.Recipe:
        """Return the constants of the autoencoder's training on so many features."""
        return prompt_vae.Recipe(
            learning_rate=self.learning_rate,
            batch_size=self.batch_size,
            steps=min(self.steps, self.epochs * -(-features // self.batch_size)),
            encoder_size=self.hidden_size,
            generator_size=self.generator_size,
        )

    def classifier(self) -> prompt_tuning.Recipe:
        """Return the constants of the tuning of the classifier's prompt."""
        return prompt_tuning.Recipe(
            learning_rate=self.prompt_learning_rate,
            batch_size=self.prompt_batch_size,
            steps=self.prompt_steps,
            classes=self.prompt_classes,
            residual=False,
            cosine_decay=self.prompt_descent == "sgd",
        )

    @model_validator(mode="before")
    @classmethod
    def _as_the_paper(cls, given: Any) -> Any:
        return filled(given, "preset", "paper", PAPER)
