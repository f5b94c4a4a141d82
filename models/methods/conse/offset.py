"""Chooses the offset of new classes in a semantic head, from hidden seen classes.

Features are simulated, not of pictures. Their unit is unknown: they are scaled so that the head's
mean confidence is the accuracy it is assumed to have.
"""

import torch
from torch import Tensor
from torch.nn.functional import normalize

from headgraft.models.heads.head import Head
from headgraft.models.metrics import Leads, weighted_mean
from headgraft.models.synthesis.simulated_features import simulate_features

ACCURACY = 0.85  # assumed of the head
CLASSES_MIN = 5
GROUPS = 3
BISECTIONS = 40


def choose_offset(head: Head, embeddings_SA: Tensor, unseen: int, temperature: float) -> float:
    """Return what to add to new classes' cosines for the best expected H.

    `embeddings_SA` are unit; `unseen` is how many classes are added. 0 where too few seen classes
    are there to hide some.
    """
    if head.class_count < CLASSES_MIN:
        return 0.0
    weight_SD = head.weight.float()
    weight_SD = normalize(weight_SD) if head.metric == "cosine" else weight_SD
    features = simulate_features(weight_SD, ACCURACY)
    scores_NS = features.scores(weight_SD)
    logits_NS = scores_NS * _length(scores_NS, features.head_accuracy) / temperature
    leads = [
        _simulate(logits_NS, embeddings_SA, features.labels_N, hidden_S)
        for hidden_S in _groups(head.class_count, unseen)
    ]
    together = Leads(*map(torch.cat, zip(*leads, strict=True)))
    offsets_T, u_T, s_T = together.by_offset()
    return float(offsets_T[weighted_mean(u_T, s_T, 1.0).argmax()])


def _groups(seen: int, unseen: int) -> list[Tensor]:
    """Mark groups of classes to hide (S,), each as large as the classes to add if there are."""
    # The random order is that of `simulate_features`: the first classes are those with features.
    order_S = torch.randperm(seen, generator=torch.Generator().manual_seed(0))
    size = min(unseen, seen // GROUPS)
    places_S = torch.empty_like(order_S).scatter_(0, order_S, torch.arange(seen))
    return [places_S // size == group for group in range(GROUPS)]


def _length(scores_NS: Tensor, accuracy: float) -> float:
    """Find the factor that makes the mean of the best class's chance the accuracy."""
    typical = float(scores_NS.std().clamp_min(torch.finfo(scores_NS.dtype).tiny))
    low, high = 1e-3 / typical, 1e3 / typical
    for _ in range(BISECTIONS):
        middle = (low * high) ** 0.5
        sure = float((middle * scores_NS).softmax(dim=1).amax(dim=1).mean())
        low, high = (middle, high) if sure < accuracy else (low, middle)
    return float((low * high) ** 0.5)


def _simulate(
    logits_NS: Tensor, embeddings_SA: Tensor, labels_N: Tensor, hidden_S: Tensor
) -> Leads:
    """Hide classes and inject them, as the head that `method.synthesize` returns scores them."""
    chance_NS = logits_NS.masked_fill(hidden_S, -torch.inf).softmax(dim=1)
    cosine_NS = normalize(chance_NS @ embeddings_SA) @ embeddings_SA.T
    return Leads.of(cosine_NS, labels_N, hidden_S)
