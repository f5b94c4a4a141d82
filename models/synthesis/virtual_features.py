"""Features of a head's own classes, uploaded or made from the head alone.

A class is a von Mises-Fisher distribution around a direction that is learned from what the head
answers to draws (dfzsl, first stage); the draws that the head assigns to their class are kept.

Outside the paper: a linear head is queried by the directions of its centred rows, as if it were
a cosine head; kappa is chosen with two guards (models/synthesis/vmf.py).
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, mse_loss, normalize

from headgraft.models.errors import InjectionError
from headgraft.models.features.labelled import LabelledFeatures
from headgraft.models.heads.head import Head
from headgraft.models.learners.training import train_steps
from headgraft.models.progress import Report, within
from headgraft.models.synthesis.vmf import choose_kappa, sample
from headgraft.models.task import Task

STAGE = "learning virtual features"
LEARNING = 0.8  # of the time
AT_ONCE = 20_000  # draws in memory
NUMBERS_MAX = 500_000_000  # of one matrix of the head's answers: 2 GB


@dataclass(frozen=True)
class VirtualFeaturesConfig:
    """The constants: `draws` a class and step, `count` a class in the end.

    A step draws for `classes` classes, chosen at random (0: for all). Without `kappa`, it is
    36 / (smallest angle between two start directions)^2. With `filter_by_head`, draws that
    the head assigns to another class are dropped.
    """

    mode: Literal["black_box", "white_box"] = "black_box"
    steps: int = 1000
    draws: int = 50
    classes: int = 0
    learning_rate: float = 3e-3
    weight_decay: float = 5e-4
    temperature: float = 1.0
    kappa: float | None = None
    count: int = 100
    filter_by_head: bool = True


@dataclass(frozen=True, eq=False)
class LearnedDirections:
    """Unit directions (S, D), the kappa they share, and the loss of every step."""

    directions_SD: Tensor
    kappa: float
    losses: tuple[float, ...]


def virtual_features(
    head: Head,
    start_SD: Tensor,
    config: VirtualFeaturesConfig,
    progress: Report,
    generator: torch.Generator,
) -> LabelledFeatures:
    """Learn the classes' directions from `start_SD` on, draw, and keep what the head recognises.

    On the device and in the dtype of `start_SD`, which need not be unit.
    InjectionError naming a class of which no draw was kept.
    """
    report = within(progress, 0.0, LEARNING)
    learned = learn_directions(head, start_SD, config, report, generator)
    virtual = draw(head, learned, config, within(progress, LEARNING, 1.0), generator)
    _check_counts(virtual.counts(head.class_count), config.count, head.class_names, learned.kappa)
    return virtual


def learn_directions(
    head: Head,
    start_SD: Tensor,
    config: VirtualFeaturesConfig,
    progress: Report,
    generator: torch.Generator,
) -> LearnedDirections:
    """Move the start directions until draws around them score as the head says.

    black_box: cosines to the directions come near the head's own (the head is only asked);
    white_box: the head's cross-entropy on the draws falls. The last iterate is kept.
    """
    query_SD = query_directions(head).to(start_SD)
    kappa = config.kappa or choose_kappa(start_SD, query_SD, generator)
    directions_SD = normalize(start_SD).clone().requires_grad_()
    adam = torch.optim.Adam([directions_SD], config.learning_rate, weight_decay=config.weight_decay)
    slower = torch.optim.lr_scheduler.LambdaLR(adam, lambda step: (1 + 0.001 * step) ** -0.75)
    loss_of = _black_box if config.mode == "black_box" else _white_box

    def loss_of_step() -> Tensor:
        chosen_B = torch.randperm(len(query_SD), generator=generator)[: config.classes or None]
        chosen_B = chosen_B.to(query_SD.device)
        drawn_ND = sample(directions_SD[chosen_B], kappa, config.draws, generator).flatten(0, 1)
        labels_N = chosen_B.repeat_interleave(config.draws)
        return loss_of(drawn_ND, labels_N, directions_SD, query_SD, config.temperature)

    losses = train_steps(config.steps, loss_of_step, adam, progress, STAGE, slower)
    return LearnedDirections(normalize(directions_SD.detach()), kappa, tuple(losses))


def draw(
    head: Head,
    learned: LearnedDirections,
    config: VirtualFeaturesConfig,
    progress: Report,
    generator: torch.Generator,
) -> LabelledFeatures:
    """Draw unit features class by class; keep those that the head assigns to theirs, maybe none."""
    count = config.count
    query_SD = query_directions(head).to(learned.directions_SD)
    offsets_S = _offsets(head).to(query_SD)
    features, labels, done = [], [], 0
    for group in torch.split(learned.directions_SD, max(1, AT_ONCE // count)):
        progress(done / len(query_SD), "drawing virtual features", None)
        drawn_ND = sample(group, learned.kappa, count, generator).flatten(0, 1)
        label_N = torch.arange(done, done + len(group), device=group.device)
        label_N = label_N.repeat_interleave(count)
        if config.filter_by_head:
            parts = torch.split(drawn_ND, max(1, NUMBERS_MAX // len(query_SD)))
            answers = [(part_MD @ query_SD.T + offsets_S).argmax(dim=1) for part_MD in parts]
            kept_N = torch.cat(answers) == label_N
            drawn_ND, label_N = drawn_ND[kept_N], label_N[kept_N]
        features.append(drawn_ND)
        labels.append(label_N)
        done += len(group)
    return LabelledFeatures(torch.cat(features), torch.cat(labels))


def query_directions(head: Head) -> Tensor:
    """Return unit rows (S, D) in float32 or wider by which the head is asked: cosines are answers.

    The rows of a linear head are centred first: outside the paper, and right for features whose
    lengths and biases matter little. InjectionError naming a row that is the mean of all.
    """
    weight_SD = head.weight.to(torch.promote_types(head.weight.dtype, torch.float32))
    if head.metric == "linear":
        weight_SD = weight_SD - weight_SD.mean(dim=0)
    lost_S = weight_SD.norm(dim=1) <= 1e-6 * head.weight.norm(dim=1).mean()
    if lost_S.any():
        name = head.class_names[int(lost_S.nonzero()[0])]
        raise InjectionError(
            f"the row of class {name!r} has no direction (it is zero, or the mean of all rows), "
            "so no virtual feature can be made of it",
            code="no_virtual_features",
        )
    return normalize(weight_SD)


def _offsets(head: Head) -> Tensor:
    """Return what the head adds to the cosines (S,)."""
    if head.metric == "linear" or head.bias is None:
        return torch.zeros(head.class_count)
    return head.bias.float() / head.scale


def _black_box(
    drawn_ND: Tensor, _labels_N: Tensor, directions_SD: Tensor, query_SD: Tensor, T: float
) -> Tensor:
    return mse_loss(drawn_ND @ normalize(directions_SD).T / T, drawn_ND.detach() @ query_SD.T)


def _white_box(
    drawn_ND: Tensor, labels_N: Tensor, _directions_SD: Tensor, query_SD: Tensor, T: float
) -> Tensor:
    return cross_entropy(drawn_ND @ query_SD.T / T, labels_N)


def _check_counts(counts_S: Tensor, drawn: int, class_names: tuple[str, ...], kappa: float) -> None:
    lost = (counts_S == 0).nonzero()[:, 0].tolist()
    if lost:
        others = f" ({len(lost) - 1} more classes neither)" if len(lost) > 1 else ""
        raise InjectionError(
            f"the head assigns none of the {drawn} virtual features of class "
            f"{class_names[lost[0]]!r} to it{others}, drawn at kappa {kappa:g}: its row may be "
            "that of another class; a method with the setting 'filter_by_head' keeps all draws "
            "where it is false",
            code="no_virtual_features",
            pointer="/settings",
        )


def training_features(
    task: Task,
    start_SD: Tensor,
    config: VirtualFeaturesConfig,
    progress: Report,
    generator: torch.Generator,
) -> LabelledFeatures:
    """Return unit features to train on: the task's own where they show every seen class.

    Virtual ones else, from `start_SD` on; on its device, in its dtype. Never both: real ones hold
    the mean of all features, virtual ones do not. Few are repeated until there are about as many
    as there would be virtual ones, since the number of steps follows from that.
    """
    features, S = task.features, task.head.class_count
    if features is None or not features.show_all(S):
        return virtual_features(task.head, start_SD, config, progress, generator)
    repeats = max(1, config.count * S // len(features.labels_N))
    labels_N = features.labels_N.repeat(repeats).to(start_SD.device)
    features_ND = normalize(features.features_NF).repeat(repeats, 1).to(start_SD)
    return LabelledFeatures(features_ND, labels_N)
