"""Image-free Classifier Injection with Semantics: two autoencoders that share a hidden code.

ICCV 2023, arXiv 2308.10599. E_a, D_a over class embeddings, E_w, D_w over rows theta = [w ; b];
a row is predicted as D_w(E_a(a_u)). The terms of the loss stand in autoencoders.py.

Differences from the specification, none with `faithful`: class embeddings are centred; rows are
trained in coordinates of the seen rows' span; steps are larger and fewer (found on hidden seen
classes of the Lite0 head); they end when hidden seen classes' rows get no better, not when the
loss is flat, then all are trained for as many; bfloat16 where the device has it. With or without:
a cosine head's theta has unit weights, its injected weights get the seen mean norm; `scale` is
ours; "autoencoders" keeps d(D_w E_a a, theta), or nothing would train the prediction.
"""

from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator

from headgraft.models.embeddings.normalise import points
from headgraft.models.features.folds import deal_folds
from headgraft.models.heads.head import Head
from headgraft.models.heads.rows import equal_distance, regression_rows, restore_norms, span
from headgraft.models.methods.icis import training as training
from headgraft.models.methods.icis.autoencoders import Terms
from headgraft.models.progress import Progress
from headgraft.models.settings import filled
from headgraft.models.task import Task

NEEDS: frozenset[str] = frozenset()
AUTHORS = {"centre": False, "learning_rate": 1e-5, "batch_size": 16, "epochs": 1000}
NOT_OF_THE_TRAINING = {"faithful", "early_stop", "normalise", "centre", "scale"}


class Settings(BaseModel):
    """The constants of the training; `faithful` sets what is absent to the authors' value."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    faithful: bool = Field(False, description="The authors' loop, and their constants if absent.")
    terms: Terms = Field("all", description="Terms of the loss, as the paper's ablation adds them.")
    loss: Literal["cosine", "mse"] = Field("cosine", description="Distance in each loss term.")
    layers: int = Field(1, ge=1, le=8, description="Layers of each encoder and decoder.")
    hidden_size: int = Field(2048, ge=1, le=65536, description="Units of the hidden code.")
    learning_rate: float = Field(5e-3, gt=0, le=1, description="Adam's step size.")
    batch_size: int = Field(256, ge=1, le=65536, description="Classes a step.")
    epochs: int = Field(200, ge=1, le=100_000, description="Epochs at most.")
    early_stop: bool = Field(True, description="End before the last epoch.")
    deviation: float = Field(0.02, gt=0, le=10, description="Spread of the initial weights.")
    normalise: bool = Field(True, description="Scale class embeddings to unit length first.")
    centre: bool = Field(True, description="Subtract the seen class embeddings' mean first.")
    seed: int = Field(0, ge=0, le=2**31 - 1, description="Seed of weights and batches.")
    scale: float = Field(
        0.0, ge=0, le=100, description="Injected rows' distance from the mean row; 0: as predicted."
    )

    @property
    def usual_steps(self) -> int:
        """Steps after which a training usually ends, both fits together."""
        return 20_000 if self.faithful or not self.early_stop else 110

    @model_validator(mode="before")
    @classmethod
    def _as_the_authors(cls, given: Any) -> Any:
        return filled(given, "faithful", True, AUTHORS)


def synthesize(
    task: Task, settings: Settings, *, device: str | torch.device, progress: Progress
) -> Head:
    """Return one row per unseen class, in order: float32, on the CPU."""
    centre, unit = settings.centre, settings.normalise
    seen_SA, unseen_UA = points(task, device, torch.float32, centre=centre, unit=unit)
    rows_SK = regression_rows(task.head, device).float()
    embeddings_CA = torch.cat([seen_SA, unseen_UA])
    half = training.computes_bfloat16(rows_SK.device) and not settings.faithful
    recipe = training.Recipe(**settings.model_dump(exclude=NOT_OF_THE_TRAINING), half=half)

    def report(fraction: float, loss: float) -> None:
        progress(fraction, "training", loss)

    if settings.faithful or not settings.early_stop:
        networks = training.train_as_authors(
            embeddings_CA, rows_SK, recipe, report, stop=settings.early_stop
        )
        rows_UK = networks.predict(unseen_UA)
    else:
        basis_KR = span(rows_SK)
        hidden_S = (deal_folds(seen_SA, 10, settings.seed) == 0).to(rows_SK.device)
        rows_SR = rows_SK @ basis_KR
        networks = training.train_watching(embeddings_CA, rows_SR, hidden_S, recipe, report)
        rows_UK = networks.predict(unseen_UA) @ basis_KR.T
    if settings.scale > 0:
        rows_UK = equal_distance(rows_UK, rows_SK, settings.scale)
    return task.head.with_rows(restore_norms(rows_UK, task.head), task.unseen_class_names)
