"""Accuracy of a head on labelled features."""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

OFFSETS = 401  # tried between the least and the largest lead


class Scorer(Protocol):
    """Anything that scores features."""

    def logits(self, features_ND: Tensor) -> Tensor:
        """Score features (N, D): (N, C)."""


@dataclass(frozen=True)
class Gzsl:
    """Accuracies in [0, 1].

    Per-class means: T1 (unseen images among unseen classes), u and s (unseen and seen images
    among all classes), H = 2us / (u + s). Per image, as the base-to-new literature counts:
    base (seen among seen), new (unseen among unseen) and their harmonic mean.
    """

    T1: float
    u: float
    s: float
    H: float
    base: float
    new: float
    base_to_new: float


def evaluate(head: Scorer, features_ND: Tensor, labels_N: Tensor, unseen_C: Tensor) -> Gzsl:
    """Score a head of C classes on features (N, D); `unseen_C` is a boolean mask over classes.

    A class without an image does not count. ValueError when a side has no image at all.
    """
    logits_NC = head.logits(features_ND)
    is_unseen_N = unseen_C[labels_N]
    if is_unseen_N.all() or not is_unseen_N.any():
        raise ValueError("both seen and unseen classes need at least one image")
    hits_N = logits_NC.argmax(dim=1) == labels_N
    among_own_N = _argmax_within(logits_NC, is_unseen_N, unseen_C) == labels_N
    u = _class_mean(hits_N, labels_N, is_unseen_N)
    s = _class_mean(hits_N, labels_N, ~is_unseen_N)
    base = float(among_own_N[~is_unseen_N].double().mean())
    new = float(among_own_N[is_unseen_N].double().mean())
    return Gzsl(
        T1=_class_mean(among_own_N, labels_N, is_unseen_N),
        u=u,
        s=s,
        H=harmonic_mean(u, s),
        base=base,
        new=new,
        base_to_new=harmonic_mean(base, new),
    )


def harmonic_mean(first: float, second: float) -> float:
    """2ab / (a + b), 0 where both are 0."""
    total = first + second
    return 2 * first * second / total if total else 0.0


def weighted_mean(u: Tensor, s: Tensor, unseen_weight: float) -> Tensor:
    """Return the harmonic mean of u and s, of one shape, with u counted `unseen_weight` times."""
    u, s = u.clamp_min(1e-6), s.clamp_min(1e-6)
    mean: Tensor = (1 + unseen_weight) * u * s / (unseen_weight * s + u)
    return mean


class Leads(NamedTuple):
    """How seen classes stand against unseen ones on N features, before an offset is added.

    `lead_N` is the best seen score less the best unseen one; `right_N` tells whether the best of
    the feature's own side is its class, `unseen_N` whether that class is unseen.
    """

    lead_N: Tensor
    right_N: Tensor
    unseen_N: Tensor

    @classmethod
    def of(cls, scores_NC: Tensor, labels_N: Tensor, unseen_C: Tensor) -> "Leads":
        """Compare scores (N, C); `unseen_C` is a boolean mask over classes."""
        seen = scores_NC.masked_fill(unseen_C, -torch.inf).max(dim=1)
        unseen = scores_NC.masked_fill(~unseen_C, -torch.inf).max(dim=1)
        unseen_N = unseen_C[labels_N]
        best_N = torch.where(unseen_N, unseen.indices, seen.indices)
        return cls(seen.values - unseen.values, best_N == labels_N, unseen_N)

    def by_offset(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return offsets (T,) of unseen scores, from least to largest lead, with u and s (T,).

        Both are means over features.
        """
        offsets_T = torch.linspace(float(self.lead_N.min()), float(self.lead_N.max()), OFFSETS)
        unseen_wins_NT = offsets_T > self.lead_N[:, None]
        u_T = (self.right_N[:, None] & unseen_wins_NT)[self.unseen_N].float().mean(dim=0)
        s_T = (self.right_N[:, None] & ~unseen_wins_NT)[~self.unseen_N].float().mean(dim=0)
        return offsets_T, u_T, s_T


def _argmax_within(logits_NC: Tensor, is_unseen_N: Tensor, unseen_C: Tensor) -> Tensor:
    foreign_NC = is_unseen_N[:, None] != unseen_C[None, :]
    return logits_NC.masked_fill(foreign_NC, -torch.inf).argmax(dim=1)


def _class_mean(hits_N: Tensor, labels_N: Tensor, chosen_N: Tensor) -> float:
    labels, hits = labels_N[chosen_N], hits_N[chosen_N].double()
    counts_C = torch.bincount(labels).double()
    sums_C = torch.bincount(labels, weights=hits)
    present_C = counts_C > 0
    return float((sums_C[present_C] / counts_C[present_C]).mean())
