"""Image-free Classifier Injection with Semantics: two autoencoders that share a hidden code.

ICCV 2023, arXiv 2308.10599. E_a, D_a over class embeddings, E_w, D_w over rows theta = [w ; b];
a row is predicted as D_w(E_a(a_u)). The four terms of the loss stand in models/autoencoders.py.

Differences from the specification: `centre` is on by default (the authors do not centre; worth
several points of T1). A cosine head's theta has unit weights; its injected weights get the seen
mean norm. Under the cosine loss a row's norm is an accident: `scale` above 0 (ours, off by
default) puts the rows at that multiple of the seen rows' mean distance from their mean row.
"""

from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from models.autoencoders import Autoencoders, train_epoch
from models.calibration import equal_distance, regression_rows, restore_norms
from models.early_stop import FlatLoss
from models.head import Head
from models.progress import Progress
from models.task import Task
from models.vectors import prepare

NEEDS: frozenset[str] = frozenset()
FLAT_SLOPE = {"cosine": 2e-3, "mse": 2e-6}


class Settings(BaseModel):
    """The constants of the training."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    hidden_size: int = Field(2048, ge=1, le=65536, description="Units of the hidden code.")
    learning_rate: float = Field(1e-5, gt=0, le=1, description="Adam's step size.")
    beta1: float = Field(0.9, ge=0, lt=1, description="Adam's decay of the gradient's mean.")
    beta2: float = Field(0.999, ge=0, lt=1, description="Adam's decay of the gradient's square.")
    batch_size: int = Field(16, ge=1, le=65536, description="Classes a step.")
    epochs: int = Field(1000, ge=1, le=100_000, description="Epochs at most.")
    loss: Literal["cosine", "mse"] = Field("cosine", description="Distance in each loss term.")
    deviation: float = Field(0.02, gt=0, le=10, description="Spread of the initial weights.")
    centre: bool = Field(True, description="Subtract the seen class embeddings' mean first.")
    seed: int = Field(0, ge=0, le=2**31 - 1, description="Seed of weights and batches.")
    stop_from: int = Field(22, ge=1, le=100_000, description="First epoch that can be flat.")
    stop_window: int = Field(10, ge=1, le=1000, description="Epochs in each compared mean.")
    stop_patience: int = Field(5, ge=1, le=100_000, description="Flat epochs in a row that end it.")
    stop_slope: float | None = Field(
        None, ge=0, le=100, description="A smaller fall an epoch is flat; null: 2e-3, mse 2e-6."
    )
    scale: float = Field(
        0.0, ge=0, le=100, description="Injected rows' distance from the mean row; 0: as predicted."
    )


def synthesize(
    task: Task, settings: Settings, *, device: str | torch.device, progress: Progress
) -> Head:
    """Return one row per unseen class, in order: float32, on the CPU."""
    seen_SA, unseen_UA = prepare(
        task.class_embeddings_SA.to(device, torch.float32),
        task.unseen_class_embeddings_UA.to(device, torch.float32),
        centre=settings.centre,
    )
    rows_SK = regression_rows(task.head, device).float()
    rows_UK = _train(torch.cat([seen_SA, unseen_UA]), rows_SK, settings, progress).predict(
        unseen_UA
    )
    if settings.scale > 0:
        rows_UK = equal_distance(rows_UK, rows_SK, settings.scale)
    return task.head.with_rows(restore_norms(rows_UK, task.head), task.unseen_class_names)


def _train(
    embeddings_CA: Tensor, rows_SK: Tensor, settings: Settings, progress: Progress
) -> Autoencoders:
    # Weights and batches are drawn on the CPU: the same seed means the same on every device.
    generator = torch.Generator().manual_seed(settings.seed)
    networks = Autoencoders(
        (embeddings_CA.shape[1], rows_SK.shape[1], settings.hidden_size),
        settings.deviation,
        generator,
    ).to(rows_SK.device)
    betas = (settings.beta1, settings.beta2)
    adam = torch.optim.Adam(networks.parameters(), settings.learning_rate, betas, fused=True)
    slope = FLAT_SLOPE[settings.loss] if settings.stop_slope is None else settings.stop_slope
    flat = FlatLoss(slope, settings.stop_window, settings.stop_from, settings.stop_patience)
    for epoch in range(settings.epochs):
        order_C = torch.randperm(len(embeddings_CA), generator=generator).to(rows_SK.device)
        batches = torch.split(order_C, settings.batch_size)
        losses: list[float] = []
        for loss in train_epoch(networks, adam, embeddings_CA, rows_SK, batches, settings.loss):
            losses.append(loss)
            progress(epoch / settings.epochs, "training", loss)
        if flat.add(sum(losses) / len(losses)):
            break
    return networks
