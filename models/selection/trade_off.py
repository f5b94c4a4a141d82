"""Seen against unseen accuracy over the scale of injected rows, on features of seen classes.

Hidden seen classes stand for those that are injected; the features are simulated or the user's.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from headgraft.models.features.labelled import LabelledFeatures

SCALES = tuple(0.5 * 1.05**step for step in range(50))
GROUPS_MAX = 40


@dataclass(frozen=True, eq=False)
class TradeOff:
    """Accuracies (G, T) of G groups of hidden classes at T scales, class means in [0, 1].

    `s_before_G` is the seen accuracy with nothing injected. Of each class and scale, `hits_ST` is
    the share of its features recognised among all classes while it is hidden and injected,
    `own_ST` the same among its group alone, and `kept_ST` the share while it stays seen, mean over
    the groups. A class without a feature has NaN.
    """

    T1_GT: Tensor
    u_GT: Tensor
    s_GT: Tensor
    s_before_G: Tensor
    hits_ST: Tensor
    own_ST: Tensor
    kept_ST: Tensor


def join(parts: Sequence[TradeOff]) -> TradeOff:
    """Put the groups of several trade-offs of the same classes together; classes get the mean."""
    return TradeOff(
        T1_GT=torch.cat([part.T1_GT for part in parts]),
        u_GT=torch.cat([part.u_GT for part in parts]),
        s_GT=torch.cat([part.s_GT for part in parts]),
        s_before_G=torch.cat([part.s_before_G for part in parts]),
        hits_ST=torch.stack([part.hits_ST for part in parts]).mean(dim=0),
        own_ST=torch.stack([part.own_ST for part in parts]).mean(dim=0),
        kept_ST=torch.stack([part.kept_ST for part in parts]).mean(dim=0),
    )


@dataclass(frozen=True, eq=False)
class ScaledRows:
    """Rows (C, D) at any scale: centre + scale * direction, made unit where `unit` (cosine heads).

    Biases, centre + scale * `biases_C` (C,), are left out for simulated features: what their mean
    feature adds to a class's logit is not known.
    """

    centre_D: Tensor
    directions_CD: Tensor
    unit: bool
    centre_bias: float = 0.0
    biases_C: Tensor | None = None

    def of(self, group: Tensor) -> "ScaledRows":
        """Return the rows of some classes."""
        biases_C = None if self.biases_C is None else self.biases_C[group]
        directions_CD = self.directions_CD[group]
        return ScaledRows(self.centre_D, directions_CD, self.unit, self.centre_bias, biases_C)

    def lengths(self, scale: float) -> Tensor:
        """Return what the products are divided by (C,)."""
        if not self.unit:
            return torch.ones(len(self.directions_CD))
        lengths_C: Tensor = (self.centre_D + scale * self.directions_CD).norm(dim=1)
        return lengths_C

    def bias(self, scale: float) -> Tensor:
        """Return what is added to the products in the end (C,)."""
        if self.biases_C is None:
            return torch.zeros(len(self.directions_CD))
        return self.centre_bias + scale * self.biases_C


def make_groups(
    fold_S: Tensor, known_S: Tensor, unseen: int, *, shown_S: Tensor | None = None, seed: int = 0
) -> list[Tensor]:
    """Choose from each fold groups of known hidden classes, numbers (G,), each as many as injected.

    Never across folds: a row that was predicted with the help of a class resembles it, and would
    wrongly attract its features; rows that are injected together do not depend on each other.
    Classes that are `shown` by a feature come first, and a group without one is left out.
    """
    generator = torch.Generator().manual_seed(seed)
    shown_S = torch.ones_like(known_S) if shown_S is None else shown_S
    folds = [((fold_S == fold) & known_S).nonzero()[:, 0] for fold in range(int(fold_S.max()) + 1)]
    groups: list[Tensor] = []
    for fold in filter(len, folds):
        order = fold[torch.randperm(len(fold), generator=generator)]
        order = order[shown_S[order].long().argsort(descending=True, stable=True)]
        size = min(unseen, len(fold))
        count = max(1, min(GROUPS_MAX // len(folds), len(fold) // size))
        parts = torch.split(order, size)[:count]
        groups += [part for part in parts if shown_S[part].any()]
    return groups


def simulate_injection(
    features: LabelledFeatures,
    seen_SD: Tensor,
    scaled_rows: ScaledRows,
    groups: list[Tensor],
    *,
    biases_S: Tensor | None = None,
    shifts: Sequence[float] = (0.0,),
) -> list[TradeOff]:
    """Hide each group in turn, inject its rows at every scale, and score all features.

    `seen_SD` are the weights of all the head's rows, unit for a cosine head, and `biases_S` their
    biases where features are real. One result per shift, which is added to the logits of injected
    rows.
    """
    scores_NS, centre_N = _seen_scores(features, seen_SD, scaled_rows, biases_S)
    top = scores_NS.max(dim=1)
    tables = [_Table.of(features.labels_N, scores_NS.shape[1]) for _ in shifts]
    for group in groups:
        hidden_S = torch.zeros(scores_NS.shape[1], dtype=torch.bool)
        hidden_S[group] = True
        seen = _seen_top(scores_NS, top, hidden_S)
        best_NT, place_NT = _injected_top(features, centre_N, scaled_rows.of(group))
        for shift, table in zip(shifts, tables, strict=True):
            table.add(group, hidden_S, seen, (best_NT + shift, place_NT))
    return [table.trade_off() for table in tables]


def _seen_scores(
    features: LabelledFeatures, seen_SD: Tensor, scaled_rows: ScaledRows, biases_S: Tensor | None
) -> tuple[Tensor, Tensor | None]:
    """Return the logits (N, S) of the head's rows, and (N,) those of a cosine head's centre."""
    scores_NS = features.scores(seen_SD - scaled_rows.centre_D)
    if biases_S is not None:
        scores_NS += biases_S
    # Centring does not move a linear head's argmax; only a cosine head's rows need the origin.
    if not scaled_rows.unit:
        return scores_NS.sub_(scaled_rows.centre_bias), None
    centre_N = features.scores(scaled_rows.centre_D[None])[:, 0]
    return scores_NS.add_(centre_N[:, None]), centre_N


def _seen_top(
    scores_NS: Tensor, top: torch.return_types.max, hidden_S: Tensor
) -> tuple[Tensor, Tensor]:
    """Return each feature's best score and class (N,) among the classes that are not hidden."""
    value_N, class_N = top.values.clone(), top.indices.clone()
    stolen = hidden_S[class_N].nonzero()[:, 0]
    again = scores_NS[stolen].masked_fill(hidden_S, -torch.inf).max(dim=1)
    value_N[stolen], class_N[stolen] = again.values, again.indices
    return value_N, class_N


def _injected_top(
    features: LabelledFeatures, centre_N: Tensor | None, scaled_rows: ScaledRows
) -> tuple[Tensor, Tensor]:
    """Return each feature's best injected score and place in the group, (N, T) each."""
    products_NG = features.scores(scaled_rows.directions_CD)
    if centre_N is None:
        if scaled_rows.biases_C is not None:
            products_NG += scaled_rows.biases_C
        best = products_NG.max(dim=1)
        scales_T = torch.tensor(SCALES)
        return best.values[:, None] * scales_T, best.indices[:, None].expand(-1, len(SCALES))
    at_scale = [
        (
            (centre_N[:, None] + scale * products_NG) / scaled_rows.lengths(scale)
            + scaled_rows.bias(scale)
        ).max(dim=1)
        for scale in SCALES
    ]
    return (
        torch.stack([best.values for best in at_scale], dim=1),
        torch.stack([best.indices for best in at_scale], dim=1),
    )


@dataclass(eq=False)
class _Table:
    """Gathers what happens to the features while one group after the other is hidden."""

    labels_N: Tensor
    counts_S: Tensor
    hits_ST: Tensor
    own_ST: Tensor
    kept_ST: Tensor
    rounds_S: Tensor
    groups: list[tuple[Tensor, Tensor, Tensor, Tensor]]

    @classmethod
    def of(cls, labels_N: Tensor, classes: int) -> "_Table":
        unknown_ST = torch.full((classes, len(SCALES)), torch.nan)
        counts_S = torch.bincount(labels_N, minlength=classes)
        kept_ST, rounds_S = torch.zeros_like(unknown_ST), torch.zeros(classes)
        return cls(labels_N, counts_S, unknown_ST, unknown_ST.clone(), kept_ST, rounds_S, [])

    def add(
        self,
        group: Tensor,
        hidden_S: Tensor,
        seen: tuple[Tensor, Tensor],
        injected: tuple[Tensor, Tensor],
    ) -> None:
        """Score one group: features of hidden classes as new, the others as old ones."""
        new_N = hidden_S[self.labels_N]
        wins_NT = injected[0] > seen[0][:, None]
        right_NT = group[injected[1]] == self.labels_N[:, None]
        kept_N = seen[1] == self.labels_N
        hits_NT = torch.where(new_N[:, None], right_NT & wins_NT, kept_N[:, None] & ~wins_NT)
        hits_ST = self._class_means(hits_NT.float())
        own_ST = self._class_means(right_NT[new_N].float(), new_N)
        before_S = self._class_means(kept_N.float()[:, None])[:, 0]
        self.hits_ST[group], self.own_ST[group] = hits_ST[group], own_ST[group]
        self.kept_ST[~hidden_S] += hits_ST[~hidden_S]
        self.rounds_S += ~hidden_S
        self.groups.append(
            (
                own_ST[group].nanmean(dim=0),
                hits_ST[group].nanmean(dim=0),
                hits_ST[~hidden_S].nanmean(dim=0),
                before_S[~hidden_S].nanmean(),
            )
        )

    def _class_means(self, values_NT: Tensor, chosen_N: Tensor | None = None) -> Tensor:
        labels_N = self.labels_N if chosen_N is None else self.labels_N[chosen_N]
        sums_ST = torch.zeros(len(self.counts_S), values_NT.shape[1])
        return sums_ST.index_add_(0, labels_N, values_NT) / self.counts_S[:, None]

    def trade_off(self) -> TradeOff:
        """Return what was gathered."""
        T1, u, s, before = (torch.stack(column) for column in zip(*self.groups, strict=True))
        kept_ST = self.kept_ST / self.rounds_S[:, None]
        return TradeOff(T1, u, s, before, self.hits_ST, self.own_ST, kept_ST)
