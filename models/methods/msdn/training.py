"""Trains two attention nets on labelled region features; it does not know who is held out."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from headgraft.models.features.regions import Regions
from headgraft.models.methods.msdn.loss import distillation_loss, own_loss
from headgraft.models.methods.msdn.networks import AttentionNets, Maps, attribute_scores
from headgraft.models.progress import Report

# What the nets are taught to leave between seen and unseen classes; the authors'.
MARGIN = 1.0
# Called with the nets behind each epoch: is it enough?
Watch = Callable[[Maps], bool]


@dataclass(frozen=True)
class Recipe:
    """The constants of a training; `calibration` and `distillation` weigh parts of the loss."""

    epochs: int
    batch_size: int
    steps_min: int
    balanced: bool
    descent: Literal["adam", "rmsprop"]
    learning_rate: float
    weight_decay: float
    momentum: float
    calibration: float
    distillation: float
    nets: Literal["both", "regions", "attributes"]


@dataclass(frozen=True, eq=False)
class Lesson:
    """Pictures by number (M,) to learn from, and the classes that compete.

    `class_attributes_CA` has unit rows; labels count them. `unseen_C` marks those that no picture
    shows. All but the regions are on the device of the training.
    """

    regions: Regions
    numbers_M: Tensor  # noqa: N815 - shape suffix
    vectors_AV: Tensor  # noqa: N815 - shape suffix
    class_attributes_CA: Tensor  # noqa: N815 - shape suffix
    unseen_C: Tensor  # noqa: N815 - shape suffix


def train(
    lesson: Lesson,
    recipe: Recipe,
    report: Report,
    generator: torch.Generator,
    watch: Watch = lambda _maps: False,
) -> Maps:
    """Return what the nets look for after all epochs, or when `watch` has seen enough."""
    device = lesson.class_attributes_CA.device
    nets = AttentionNets(lesson.vectors_AV.cpu(), lesson.regions.feature_size, generator).to(device)
    descent = _descent(nets, recipe)
    labels_M = lesson.regions.labels_N[lesson.numbers_M]
    for epoch in range(recipe.epochs):
        batches = _batches(labels_M, recipe, generator)
        for step, chosen_B in enumerate(batches, start=1):
            labels_B = labels_M[chosen_B].to(device)
            features_BDR = lesson.regions.take(lesson.numbers_M[chosen_B]).to(device)
            loss = _loss(nets, features_BDR, labels_B, lesson, recipe)
            descent.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            descent.step()
            report((epoch + step / len(batches)) / recipe.epochs, "train", loss.item())
        if watch(_detached(nets)):
            break
    return _detached(nets)


def _descent(nets: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    rate, decay = recipe.learning_rate, recipe.weight_decay
    if recipe.descent == "adam":
        return torch.optim.Adam(nets.parameters(), rate, weight_decay=decay)
    return torch.optim.RMSprop(
        nets.parameters(), rate, weight_decay=decay, momentum=recipe.momentum
    )


def _batches(labels_M: Tensor, recipe: Recipe, generator: torch.Generator) -> list[Tensor]:
    """Deal an epoch's pictures into batches (B,), each picture once or each class alike often.

    Where that makes too few steps, again.
    """
    batches: list[Tensor] = []
    while len(batches) < recipe.steps_min or not batches:
        order_M = torch.randperm(len(labels_M), generator=generator)
        if recipe.balanced:
            weight_M = 1 / labels_M.bincount()[labels_M].double()
            order_M = torch.multinomial(weight_M, len(labels_M), True, generator=generator)
        batches += torch.split(order_M, recipe.batch_size)
    return batches


def _loss(
    nets: AttentionNets, features_BDR: Tensor, labels_B: Tensor, lesson: Lesson, recipe: Recipe
) -> Tensor:
    attributes_AC = lesson.class_attributes_CA.T
    first_BC, second_BC = (
        scores_BA @ attributes_AC
        for scores_BA in attribute_scores(features_BDR, nets.maps().stacked())
    )
    own = {"regions": [first_BC], "attributes": [second_BC], "both": [first_BC, second_BC]}
    loss = torch.zeros((), device=first_BC.device)
    for scores_BC in own[recipe.nets]:
        loss = loss + own_loss(scores_BC, labels_B, lesson.unseen_C, MARGIN, recipe.calibration)
    if recipe.nets == "both" and recipe.distillation:
        offsets_C = torch.where(lesson.unseen_C, MARGIN, -MARGIN)
        apart = distillation_loss(first_BC + offsets_C, second_BC + offsets_C)
        loss = loss + recipe.distillation * apart
    return loss


@torch.no_grad()
def _detached(nets: AttentionNets) -> Maps:
    return nets.maps()
