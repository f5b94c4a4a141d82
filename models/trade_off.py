"""Seen against unseen accuracy over the scale of injected rows, on virtual features.

It plays the injection with hidden seen classes; it does not know which method made their rows.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from models.feature_model import VirtualFeatures

SCALES = tuple(0.5 * 1.05**step for step in range(50))
GROUPS_MAX = 40


@dataclass(frozen=True, eq=False)
class TradeOff:
    """Accuracies (G, T) of G groups of hidden classes at T scales, in [0, 1].

    `s_before_G` is the seen accuracy with nothing injected. `hits_ST` is, per hidden class and
    scale, the share of its features that are recognised among all classes (NaN: none drawn).
    """

    T1_GT: Tensor
    u_GT: Tensor  # noqa: N815 - shape suffix
    s_GT: Tensor  # noqa: N815 - shape suffix
    s_before_G: Tensor  # noqa: N815 - shape suffix
    hits_ST: Tensor  # noqa: N815 - shape suffix

    @property
    def H_GT(self) -> Tensor:  # noqa: N802 - shape suffix
        """The harmonic mean of u and s."""
        return weighted_mean(self.u_GT, self.s_GT, 1.0)


@dataclass(frozen=True, eq=False)
class Rays:
    """Rows (C, D) on rays: origin + scale * direction; made unit where `unit` (cosine heads)."""

    origin_D: Tensor  # noqa: N815 - shape suffix
    directions_CD: Tensor  # noqa: N815 - shape suffix
    unit: bool

    def lengths(self, scale: float) -> Tensor:
        """Return what the products are divided by (C,)."""
        if not self.unit:
            return torch.ones(len(self.directions_CD))
        lengths_C: Tensor = (self.origin_D + scale * self.directions_CD).norm(dim=1)
        return lengths_C


def weighted_mean(u: Tensor, s: Tensor, unseen_weight: float) -> Tensor:
    """Return the harmonic mean of u and s with u counted `unseen_weight` times."""
    u, s = u.clamp_min(1e-6), s.clamp_min(1e-6)
    mean: Tensor = (1 + unseen_weight) * u * s / (unseen_weight * s + u)
    return mean


def make_groups(fold_S: Tensor, known_S: Tensor, unseen: int, seed: int = 0) -> list[Tensor]:
    """Choose from each fold a group of known hidden classes, as large as the classes to inject.

    Never across folds: a row that was predicted with the help of a class resembles it, and would
    wrongly attract its features; classes that are injected together know nothing of each other.
    """
    generator = torch.Generator().manual_seed(seed)
    folds = [((fold_S == fold) & known_S).nonzero()[:, 0] for fold in range(int(fold_S.max()) + 1)]
    groups: list[Tensor] = []
    for fold in filter(len, folds):
        order = fold[torch.randperm(len(fold), generator=generator)]
        size = min(unseen, len(fold))
        groups += torch.split(order, size)[
            : max(1, min(GROUPS_MAX // len(folds), len(fold) // size))
        ]
    return groups


def play(features: VirtualFeatures, seen_SD: Tensor, rays: Rays, groups: list[Tensor]) -> TradeOff:
    """Hide each group in turn, inject its rows at every scale, and score all features.

    `seen_SD` are the weights of all the rows the head has, unit for a cosine head.
    """
    seen_scores_NS = features.scores(seen_SD - rays.origin_D)
    S, T = seen_scores_NS.shape[1], len(SCALES)
    # Centring does not move a linear head's argmax; only a cosine head's rows need the origin.
    origin_N = features.scores(rays.origin_D[None])[:, 0] if rays.unit else None
    if origin_N is not None:
        seen_scores_NS += origin_N[:, None]
    top = seen_scores_NS.max(dim=1)
    hits_ST = torch.full((S, T), torch.nan)
    results = []
    for group in groups:
        hidden_S = torch.zeros(S, dtype=torch.bool)
        hidden_S[group] = True
        seen = _seen_top(seen_scores_NS, top, hidden_S)
        products_NG = features.scores(rays.directions_CD[group])
        injected = _injected_top(products_NG, origin_N, rays, group)
        results.append(_score(features.labels_N, hidden_S, group, seen, injected, hits_ST))
    T1, u, s, before = zip(*results, strict=True)
    return TradeOff(torch.stack(T1), torch.stack(u), torch.stack(s), torch.stack(before), hits_ST)


def _seen_top(
    scores_NS: Tensor, top: torch.return_types.max, hidden_S: Tensor
) -> tuple[Tensor, Tensor]:
    """Return each feature's best score and class among the classes that stay."""
    value_N, class_N = top.values.clone(), top.indices.clone()
    stolen = hidden_S[class_N].nonzero()[:, 0]
    again = scores_NS[stolen].masked_fill(hidden_S, -torch.inf).max(dim=1)
    value_N[stolen], class_N[stolen] = again.values, again.indices
    return value_N, class_N


def _injected_top(
    products_NG: Tensor, origin_N: Tensor | None, rays: Rays, group: Tensor
) -> tuple[Tensor, Tensor]:
    """Return each feature's best injected score and place in the group, (N, T) each."""
    scales_T = torch.tensor(SCALES)
    if origin_N is None:
        best = products_NG.max(dim=1)
        return best.values[:, None] * scales_T, best.indices[:, None].expand(-1, len(scales_T))
    rays = Rays(rays.origin_D, rays.directions_CD[group], rays.unit)
    at_scale = [
        ((origin_N[:, None] + scale * products_NG) / rays.lengths(scale)).max(dim=1)
        for scale in SCALES
    ]
    return (
        torch.stack([best.values for best in at_scale], dim=1),
        torch.stack([best.indices for best in at_scale], dim=1),
    )


def _score(
    labels_N: Tensor,
    hidden_S: Tensor,
    group: Tensor,
    seen: tuple[Tensor, Tensor],
    injected: tuple[Tensor, Tensor],
    hits_ST: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return T1, u, s over the scales and s before; write the group's hits."""
    new_N = hidden_S[labels_N]
    wins_NT = injected[0] > seen[0][:, None]
    right_NT = group[injected[1]] == labels_N[:, None]
    seen_right_N = seen[1] == labels_N
    found_NT = (right_NT & wins_NT)[new_N].float()
    hits_ST[group] = _class_means(found_NT, labels_N[new_N], len(hidden_S))[group]
    s_T = (seen_right_N[:, None] & ~wins_NT)[~new_N].float().mean(dim=0)
    T1_T = right_NT[new_N].float().mean(dim=0)
    return T1_T, found_NT.mean(dim=0), s_T, seen_right_N[~new_N].float().mean()


def _class_means(values_NT: Tensor, labels_N: Tensor, classes: int) -> Tensor:
    sums_ST = torch.zeros(classes, values_NT.shape[1]).index_add_(0, labels_N, values_NT)
    return sums_ST / torch.bincount(labels_N, minlength=classes)[:, None]
