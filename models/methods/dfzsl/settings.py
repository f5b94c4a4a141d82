"""The constants of dfzsl, and whose they are; it does not know what is done with them."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from headgraft.models.learners import cosine_classifier, prompt_tuning
from headgraft.models.settings import filled
from headgraft.models.synthesis import tfvaegan, virtual_features

PAPER = {
    "virtual_steps": 1000, "virtual_draws": 50, "virtual_classes": 0, "virtual_per_class": 200,
    "tuning_steps": None, "tuning_batch_size": 4, "tuning_classes": 0, "tuning_residual": True,
    "embedding_tuning_steps": None, "tuning_learning_rate": 3e-3, "generator": "tfvaegan",
    "gan_epochs": 120, "gan_steps": None, "gan_learning_rate": 3e-5,
    "critic_learning_rate": 3e-5, "critic_steps": 5,
    "features_per_class": 1800, "epochs": 100, "batch_size": 1800,
}  # fmt: skip


class Settings(BaseModel):
    """The constants of the stages; `preset` "paper" sets absent ones to the authors' values."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    preset: Literal["default", "paper"] = Field("default", description="Constants where absent.")
    mode: Literal["black_box", "white_box"] = Field(
        "black_box", description="Directions by the head's answers, or by its gradient."
    )
    replace_seen: bool = Field(
        False, description="Give old classes the trained rows too; the old ones are lost."
    )
    virtual_steps: int = Field(300, ge=0, le=100_000, description="Learning directions.")
    virtual_draws: int = Field(1, ge=1, le=1000, description="A class and step.")
    virtual_classes: int = Field(256, ge=0, le=100_000, description="In a step; 0: all.")
    virtual_per_class: int = Field(10, ge=1, le=10_000, description="Virtual features drawn.")
    virtual_learning_rate: float = Field(3e-3, gt=0, le=1, description="Adam's, of directions.")
    kappa: float | None = Field(
        None, ge=1, le=1e5, description="Of the draws; absent: by the nearest two texts."
    )
    trusted: bool = Field(True, description="Keep only the draws that the head recognises.")
    tuning_steps: int | None = Field(
        24, ge=0, le=1_000_000, description="Of the text; null: each virtual feature once."
    )
    embedding_tuning_steps: int | None = Field(
        0, ge=0, le=1_000_000, description="The same where no encoder is at hand."
    )
    tuning_batch_size: int = Field(256, ge=1, le=65536, description="Features a step.")
    tuning_classes: int = Field(40, ge=0, le=100_000, description="Competing in a step; 0: all.")
    tuning_learning_rate: float = Field(1e-3, gt=0, le=1, description="AdamW's, of the text.")
    tuning_residual: bool = Field(False, description="Move features by one learned vector.")
    generator: Literal["tfvaegan", "text"] = Field(
        "text", description="Makes unseen features; text: copies of the tuned text."
    )
    gan_epochs: int = Field(1, ge=1, le=10_000, description="Of two loops each.")
    gan_steps: int | None = Field(
        50, ge=1, le=1_000_000, description="A loop; null: each virtual feature once."
    )
    gan_hidden_size: int = Field(1024, ge=1, le=65536, description="Of all its networks.")
    gan_code_size: int = Field(512, ge=1, le=65536, description="Of its codes.")
    gan_batch_size: int = Field(64, ge=1, le=65536, description="Features a step.")
    gan_learning_rate: float = Field(
        1e-3, gt=0, le=1, description="Adam's, of generator and encoder."
    )
    critic_learning_rate: float = Field(1e-4, gt=0, le=1, description="Adam's, of the critic.")
    critic_steps: int = Field(1, ge=1, le=100, description="Before each of the generator's.")
    features_per_class: int = Field(10, ge=1, le=100_000, description="Of each unseen class.")
    r: float = Field(1, gt=0, le=1e6, description="Seen to unseen odds: larger favours unseen.")
    adjust: bool = Field(True, description="Adjust the logits in training by these odds.")
    temperature: float = Field(0.01, gt=0, le=10, description="Divides cosines.")
    learning_rate: float = Field(5e-5, gt=0, le=1, description="Adam's, of the rows.")
    epochs: int = Field(5, ge=1, le=10_000, description="Of the rows.")
    batch_size: int = Field(512, ge=1, le=65536, description="Features a step, of the rows.")
    seed: int = Field(0, ge=0, le=2**31 - 1, description="Seed of weights and draws.")

    def virtual(self) -> virtual_features.Recipe:
        """Return the constants of the virtual features."""
        return virtual_features.Recipe(
            mode=self.mode,
            steps=self.virtual_steps,
            draws=self.virtual_draws,
            classes=self.virtual_classes,
            learning_rate=self.virtual_learning_rate,
            kappa=self.kappa,
            count=self.virtual_per_class,
            trusted=self.trusted,
        )

    def tuning(self, features: int, *, encoder: bool) -> prompt_tuning.Recipe:
        """Return the constants of the text's tuning on so many features."""
        once = -(-features // self.tuning_batch_size)
        steps = self.tuning_steps if encoder else self.embedding_tuning_steps
        return prompt_tuning.Recipe(
            learning_rate=self.tuning_learning_rate,
            batch_size=self.tuning_batch_size,
            steps=once if steps is None else steps,
            classes=self.tuning_classes,
            residual=self.tuning_residual,
        )

    def gan(self) -> tfvaegan.Recipe:
        """Return the constants of the generator."""
        return tfvaegan.Recipe(
            hidden_size=self.gan_hidden_size,
            code_size=self.gan_code_size,
            epochs=self.gan_epochs,
            steps=self.gan_steps,
            batch_size=self.gan_batch_size,
            critic_steps=self.critic_steps,
            critic_rate=self.critic_learning_rate,
            generator_rate=self.gan_learning_rate,
            encoder_rate=self.gan_learning_rate,
            features_per_class=self.features_per_class,
        )

    def classifier(self) -> cosine_classifier.Recipe:
        """Return the constants of the rows' training."""
        return cosine_classifier.Recipe(
            temperature=self.temperature,
            learning_rate=self.learning_rate,
            epochs=self.epochs,
            batch_size=self.batch_size,
        )

    @model_validator(mode="before")
    @classmethod
    def _as_the_paper(cls, given: Any) -> Any:
        return filled(given, "preset", "paper", PAPER)
