"""Rehearses a training with seen classes and pictures held out: how long, and with which constants.

No test data is looked at: hidden seen classes play the unseen ones, and pictures of the other
classes, kept from the training, play the seen ones. It does not know what becomes of the answer.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from headgraft.models.features.regions import Regions
from headgraft.models.heads.attribute_attention import Maps, attribute_scores
from headgraft.models.methods.msdn.settings import MsdnSettings
from headgraft.models.methods.msdn.training import Lesson, train
from headgraft.models.metrics import weighted_mean
from headgraft.models.progress import Report

CLASSES_MIN = 5  # fewer leave nobody to hide
CHECKED_MAX = 2000  # pictures looked at behind each epoch
BLOCK = 64  # of them at once
OFFSETS = 401  # tried between the classes' least and largest lead
NEARLY = 0.02  # as good as the best: so much of H is chance among so few pictures
ALPHAS = tuple(step / 10 for step in range(11))


@dataclass(frozen=True)
class Finding:
    """Behind which epoch the held-out pictures fared best, with which constants, and how well.

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
    """Choose by lot which classes to hide, no more than are unseen, and which pictures to keep.

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


def rehearse(
    held: HoldOut,
    regions: Regions,
    vectors_AV: Tensor,
    class_attributes_SA: Tensor,
    settings: MsdnSettings,
    report: Report,
    generator: torch.Generator,
    alphas: tuple[float, ...] = ALPHAS,
) -> Finding:
    """Train on what is not held out, and return the best finding behind any epoch.

    It stops `patience` epochs (a constant of the preset) behind the best one.
    """
    lesson = Lesson(
        regions,
        held.learned_M,
        vectors_AV,
        class_attributes_SA,
        held.hidden_S.to(class_attributes_SA.device),
    )
    best, epoch = Finding(settings.epochs, alphas[0], 0.0), 0

    def watch(maps: Maps) -> bool:
        nonlocal best, epoch
        epoch += 1
        share = epoch / settings.epochs
        scores = _scores(maps, lesson, held.checked_M, lambda: report(share, "check", None))
        found = _best(scores, regions.labels_N[held.checked_M], held.hidden_S, epoch, alphas)
        if found.accuracy["H"] > best.accuracy.get("H", -1.0):
            best = found
        return epoch - best.epochs >= settings.constants.patience

    train(lesson, settings, report, generator, watch)
    return best


def _scores(
    maps: Maps, lesson: Lesson, checked_M: Tensor, at_each_block: Callable[[], None]
) -> tuple[Tensor, Tensor]:
    """Score the classes (M, S) on pictures, by either net; on the CPU."""
    attributes_AS = lesson.class_attributes_CA.T
    stacked_4AD, device = maps.stacked(), attributes_AS.device
    first, second = [], []
    for part_B in torch.split(checked_M, BLOCK):
        at_each_block()
        by_regions_BA, by_attributes_BA = attribute_scores(
            lesson.regions.take(part_B).to(device), stacked_4AD
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
) -> Finding:
    """Find the share of either net, and the margin, with which the pictures fare best."""
    first_MS, second_MS = scores
    found = [
        _played(alpha * first_MS + (1 - alpha) * second_MS, labels_M, hidden_S, epoch, alpha)
        for alpha in alphas
    ]
    return max(found, key=lambda one: one.accuracy["H"])


def _played(
    scores_MS: Tensor, labels_M: Tensor, hidden_S: Tensor, epoch: int, alpha: float
) -> Finding:
    old = scores_MS.masked_fill(hidden_S, -torch.inf).max(dim=1)
    new = scores_MS.masked_fill(~hidden_S, -torch.inf).max(dim=1)
    new_M = hidden_S[labels_M]
    lead_M = old.values - new.values
    right_M = torch.where(new_M, new.indices, old.indices) == labels_M
    offsets_T = torch.linspace(float(lead_M.min()), float(lead_M.max()), OFFSETS)
    new_wins_MT = offsets_T > lead_M[:, None]
    u_T = (right_M[:, None] & new_wins_MT)[new_M].float().mean(dim=0)
    s_T = (right_M[:, None] & ~new_wins_MT)[~new_M].float().mean(dim=0)
    h_T = weighted_mean(u_T, s_T, 1.0)
    # The middle of those that are nearly best: the best one itself stands where a picture falls.
    at = int((h_T >= h_T.max() - NEARLY).nonzero().median())
    shares = {"T1": right_M[new_M].float().mean(), "u": u_T[at], "s": s_T[at], "H": h_T[at]}
    accuracy = {name: float(share) for name, share in shares.items()}
    return Finding(epoch, alpha, float(offsets_T[at]) / 2, accuracy)


def _rank_in_class(labels_N: Tensor, generator: torch.Generator) -> Tensor:
    """Number each class's pictures (N,) from 0 in an order drawn by lot."""
    order_N = torch.randperm(len(labels_N), generator=generator)
    by_class_N = order_N[labels_N[order_N].argsort(stable=True)]
    counts_S = labels_N.bincount()
    starts_N = (counts_S.cumsum(0) - counts_S).repeat_interleave(counts_S)
    rank_N = torch.empty_like(labels_N)
    rank_N[by_class_N] = torch.arange(len(labels_N)) - starts_N
    return rank_N


def _at_most(numbers_M: Tensor, rank_N: Tensor, limit: int = CHECKED_MAX // 2) -> Tensor:
    """Keep so many pictures, of every class alike many."""
    return numbers_M[rank_N[numbers_M].argsort(stable=True)[:limit]].sort().values
