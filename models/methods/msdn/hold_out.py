"""Trains with seen classes and pictures held out, to learn for how long and with which constants.

No test data is used: hidden seen classes stand for the unseen ones, and pictures of the other
classes, kept from the training, for the seen ones.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from headgraft.models.features.regions import RegionFeatures
from headgraft.models.heads.attribute_attention import AttributeMaps, attribute_scores
from headgraft.models.methods.msdn.settings import MsdnSettings
from headgraft.models.methods.msdn.training import TrainingSet, train
from headgraft.models.metrics import Leads, weighted_mean
from headgraft.models.progress import Report

CLASSES_MIN = 5  # with pictures: of fewer, none is hidden
CHECKED_MAX = 2000  # pictures scored after each epoch
BLOCK = 64  # of them at once
NEARLY = 0.02  # as good as the best: so much of H is chance among so few pictures
ALPHAS = tuple(step / 10 for step in range(11))


@dataclass(frozen=True)
class HoldOutResult:
    """After which epoch the held-out pictures scored best, with which constants, and how well.

    `margin` is added to unseen and taken from seen logits; T1, u, s and H are in [0, 1].
    """

    epochs: int
    alpha: float
    margin: float
    accuracy: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class HoldOut:
    """Hidden classes (S,) as a mask, numbers of pictures to learn from, and to check with."""

    hidden_S: Tensor
    learned_M: Tensor
    checked_M: Tensor


def hold_out(
    labels_N: Tensor, classes: int, unseen: int, share: float, generator: torch.Generator
) -> HoldOut | None:
    """Choose at random which classes to hide, no more than are unseen, and which pictures to keep.

    None where too few classes have pictures, or no other class has two.
    """
    shown_P = labels_N.bincount(minlength=classes).nonzero()[:, 0]
    if len(shown_P) < CLASSES_MIN:
        return None
    order_P = shown_P[torch.randperm(len(shown_P), generator=generator)]
    hidden_S = torch.zeros(classes, dtype=torch.bool)
    hidden_S[order_P[: max(2, min(unseen, round(share * len(shown_P))))]] = True
    rank_N = _rank_in_class(labels_N, generator)
    counts_N = labels_N.bincount(minlength=classes)[labels_N]
    kept_N = rank_N < (share * counts_N).ceil().clamp(max=counts_N - 1)
    in_hidden_N = hidden_S[labels_N]
    if not (kept_N & ~in_hidden_N).any():
        return None
    old, new = (
        _at_most(part_N.nonzero()[:, 0], rank_N) for part_N in (kept_N & ~in_hidden_N, in_hidden_N)
    )
    return HoldOut(hidden_S, (~kept_N & ~in_hidden_N).nonzero()[:, 0], torch.cat([old, new]))


def train_with_hold_out(
    held: HoldOut,
    regions: RegionFeatures,
    vectors_AV: Tensor,
    class_attributes_SA: Tensor,
    settings: MsdnSettings,
    report: Report,
    generator: torch.Generator,
    alphas: tuple[float, ...] = ALPHAS,
) -> HoldOutResult:
    """Train on what is not held out, and return the best result after any epoch.

    It stops `patience` epochs (a constant of the preset) after the best one.
    """
    training_set = TrainingSet(
        regions,
        held.learned_M,
        vectors_AV,
        class_attributes_SA,
        held.hidden_S.to(class_attributes_SA.device),
    )
    best, epoch = HoldOutResult(settings.epochs, alphas[0], 0.0), 0

    def watch(maps: AttributeMaps) -> bool:
        nonlocal best, epoch
        epoch += 1
        share = epoch / settings.epochs
        scores = _scores(maps, training_set, held.checked_M, lambda: report(share, "check", None))
        result = _best(scores, regions.labels_N[held.checked_M], held.hidden_S, epoch, alphas)
        if result.accuracy["H"] > best.accuracy.get("H", -1.0):
            best = result
        return epoch - best.epochs >= settings.constants.patience

    train(training_set, settings, report, generator, watch)
    return best


def _scores(
    maps: AttributeMaps,
    training_set: TrainingSet,
    checked_M: Tensor,
    at_each_block: Callable[[], None],
) -> tuple[Tensor, Tensor]:
    """Score the classes (M, S) on pictures, by either net; on the CPU."""
    attributes_AS = training_set.class_attributes_CA.T
    stacked_4AD, device = maps.stacked(), attributes_AS.device
    first, second = [], []
    for part_B in torch.split(checked_M, BLOCK):
        at_each_block()
        by_regions_BA, by_attributes_BA = attribute_scores(
            training_set.regions.take(part_B).to(device), stacked_4AD
        )
        first.append((by_regions_BA @ attributes_AS).cpu())
        second.append((by_attributes_BA @ attributes_AS).cpu())
    return torch.cat(first), torch.cat(second)


def _best(
    scores: tuple[Tensor, Tensor],
    labels_M: Tensor,
    hidden_S: Tensor,
    epoch: int,
    alphas: tuple[float, ...],
) -> HoldOutResult:
    """Find the share of either net, and the margin, with which the pictures score best."""
    first_MS, second_MS = scores
    results = [
        _result(alpha * first_MS + (1 - alpha) * second_MS, labels_M, hidden_S, epoch, alpha)
        for alpha in alphas
    ]
    return max(results, key=lambda result: result.accuracy["H"])


def _result(
    scores_MS: Tensor, labels_M: Tensor, hidden_S: Tensor, epoch: int, alpha: float
) -> HoldOutResult:
    leads = Leads.of(scores_MS, labels_M, hidden_S)
    offsets_T, u_T, s_T = leads.by_offset()
    h_T = weighted_mean(u_T, s_T, 1.0)
    # The middle of those that are nearly best: the best one itself is where one picture flips.
    at = int((h_T >= h_T.max() - NEARLY).nonzero().median())
    T1 = leads.right_N[leads.unseen_N].float().mean()
    shares = {"T1": T1, "u": u_T[at], "s": s_T[at], "H": h_T[at]}
    accuracy = {name: float(share) for name, share in shares.items()}
    return HoldOutResult(epoch, alpha, float(offsets_T[at]) / 2, accuracy)


def _rank_in_class(labels_N: Tensor, generator: torch.Generator) -> Tensor:
    """Number each class's pictures (N,) from 0 in a random order."""
    order_N = torch.randperm(len(labels_N), generator=generator)
    by_class_N = order_N[labels_N[order_N].argsort(stable=True)]
    counts_S = labels_N.bincount()
    starts_N = (counts_S.cumsum(0) - counts_S).repeat_interleave(counts_S)
    rank_N = torch.empty_like(labels_N)
    rank_N[by_class_N] = torch.arange(len(labels_N)) - starts_N
    return rank_N


def _at_most(numbers_M: Tensor, rank_N: Tensor, limit: int = CHECKED_MAX // 2) -> Tensor:
    """Keep at most `limit` pictures, as many of every class."""
    return numbers_M[rank_N[numbers_M].argsort(stable=True)[:limit]].sort().values
