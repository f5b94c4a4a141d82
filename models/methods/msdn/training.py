"""Trains two attention nets on labelled region features, and the loss they are trained by."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, kl_div

from headgraft.models.features.regions import RegionFeatures
from headgraft.models.heads.attribute_attention import AttributeMaps, attribute_scores
from headgraft.models.methods.msdn.networks import AttentionNets
from headgraft.models.methods.msdn.settings import MsdnConstants, MsdnSettings
from headgraft.models.progress import Report

# What the nets are taught to leave between seen and unseen classes; the authors'.
MARGIN = 1.0
# Called with the nets after each epoch: True ends the training.
ShouldStop = Callable[[AttributeMaps], bool]
TINY = 1e-12


def training_size(
    regions: RegionFeatures, attributes: int, settings: MsdnSettings
) -> tuple[int, int]:
    """Return forward multiply-adds and updates of a training to the last epoch."""
    pictures, (height, width) = len(regions.labels_N), regions.grid
    constants = settings.constants
    steps = settings.epochs * max(
        constants.min_steps_per_epoch, -(-pictures // constants.batch_size)
    )
    maps = 4 * attributes * regions.feature_size
    return steps * constants.batch_size * height * width * maps, steps * maps


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """Pictures by number (M,) to learn from, and the classes that compete.

    `class_attributes_CA` has unit rows; labels count them. `unseen_C` marks those that no picture
    shows. All but the regions are on the device of the training.
    """

    regions: RegionFeatures
    numbers_M: Tensor
    vectors_AV: Tensor
    class_attributes_CA: Tensor
    unseen_C: Tensor


def train(
    training_set: TrainingSet,
    settings: MsdnSettings,
    report: Report,
    generator: torch.Generator,
    should_stop: ShouldStop = lambda _maps: False,
) -> AttributeMaps:
    """Return what the nets look for after all epochs, or when `should_stop` says so."""
    device = training_set.class_attributes_CA.device
    nets = AttentionNets(
        training_set.vectors_AV.cpu(), training_set.regions.feature_size, generator
    ).to(device)
    optimizer = _optimizer(nets, settings.constants)
    labels_M = training_set.regions.labels_N[training_set.numbers_M]
    for epoch in range(settings.epochs):
        batches = _batches(labels_M, settings.constants, generator)
        for step, chosen_B in enumerate(batches, start=1):
            labels_B = labels_M[chosen_B].to(device)
            features_BDR = training_set.regions.take(training_set.numbers_M[chosen_B]).to(device)
            loss = _loss(nets, features_BDR, labels_B, training_set, settings)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            report((epoch + step / len(batches)) / settings.epochs, "train", loss.item())
        if should_stop(_detached(nets)):
            break
    return _detached(nets)


def _optimizer(nets: nn.Module, constants: MsdnConstants) -> torch.optim.Optimizer:
    rate, decay = constants.learning_rate, constants.weight_decay
    if constants.optimizer == "adam":
        return torch.optim.Adam(nets.parameters(), rate, weight_decay=decay)
    return torch.optim.RMSprop(
        nets.parameters(), rate, weight_decay=decay, momentum=constants.momentum
    )


def _batches(
    labels_M: Tensor, constants: MsdnConstants, generator: torch.Generator
) -> list[Tensor]:
    """Deal an epoch's pictures into batches (B,), each picture once or each class alike often.

    Where that makes too few steps, again.
    """
    batches: list[Tensor] = []
    while len(batches) < constants.min_steps_per_epoch or not batches:
        order_M = torch.randperm(len(labels_M), generator=generator)
        if constants.balanced:
            weight_M = 1 / labels_M.bincount()[labels_M].double()
            order_M = torch.multinomial(weight_M, len(labels_M), True, generator=generator)
        batches += torch.split(order_M, constants.batch_size)
    return batches


def _loss(
    nets: AttentionNets,
    features_BDR: Tensor,
    labels_B: Tensor,
    training_set: TrainingSet,
    settings: MsdnSettings,
) -> Tensor:
    attributes_AC = training_set.class_attributes_CA.T
    first_BC, second_BC = (
        scores_BA @ attributes_AC
        for scores_BA in attribute_scores(features_BDR, nets.maps().stacked())
    )
    own = {"regions": [first_BC], "attributes": [second_BC], "both": [first_BC, second_BC]}
    loss = torch.zeros((), device=first_BC.device)
    for scores_BC in own[settings.nets]:
        loss = loss + own_loss(
            scores_BC, labels_B, training_set.unseen_C, MARGIN, settings.calibration
        )
    if settings.nets == "both" and settings.distillation:
        offsets_C = torch.where(training_set.unseen_C, MARGIN, -MARGIN)
        apart = distillation_loss(first_BC + offsets_C, second_BC + offsets_C)
        loss = loss + settings.distillation * apart
    return loss


@torch.no_grad()
def _detached(nets: AttentionNets) -> AttributeMaps:
    return nets.maps()


def own_loss(
    scores_BC: Tensor, labels_B: Tensor, unseen_C: Tensor, margin: float, calibration: float
) -> Tensor:
    """Return the cross-entropy plus `calibration` times a term that favours unseen classes.

    The term is minus the logarithm of the batch's mean probability of unseen classes (a boolean
    mask), whose scores are `margin` higher there, those of the seen `margin` lower.
    """
    loss = cross_entropy(scores_BC, labels_B)
    if not calibration or not unseen_C.any():
        return loss
    biased_BC = scores_BC + torch.where(unseen_C, margin, -margin)
    mass_B = biased_BC.softmax(dim=1)[:, unseen_C].sum(dim=1)
    return loss - calibration * mass_B.mean().clamp_min(TINY).log()


def distillation_loss(first_BC: Tensor, second_BC: Tensor) -> Tensor:
    """Return the Jensen-Shannon divergence of scores (B, C) of two nets, and their distance.

    The latter is the batch mean of sum_c |e_c|^3 / ||e||, with e the difference of the scores.
    """
    first_logs_BC, second_logs_BC = first_BC.log_softmax(dim=1), second_BC.log_softmax(dim=1)
    middle_BC = ((first_logs_BC.exp() + second_logs_BC.exp()) / 2).clamp_min(TINY).log()
    divergence = sum(
        kl_div(middle_BC, logs_BC, reduction="batchmean", log_target=True)
        for logs_BC in (first_logs_BC, second_logs_BC)
    )
    apart_BC = first_BC - second_BC
    # Clamp the norm so that equal scores give neither NaN loss nor NaN gradient.
    length_B = apart_BC.pow(2).sum(dim=1).clamp_min(TINY).sqrt()
    return divergence / 2 + (apart_BC.abs().pow(3).sum(dim=1) / length_B).mean()
