"""Lets a head's own best guesses stand in for the labels of features that have none.

Read off such labels, what the head itself does is too good: a guess is always right by definition.
How often the head is right must be known, or is estimated from how far its best guess leads.
"""

import torch
from torch import Tensor

from headgraft.models.features.labelled import (
    CalibrationFeatures,
    Source,
    UnlabelledFeatures,
    as_scored,
    checked_features,
)
from headgraft.models.heads.head import Head

# logit(accuracy) over 15 heads (tests/benchmarks/LOG.md): of the mean lead of the best guess over
# the second, in deviations of a picture's logits, and of the logarithm of the number of classes.
PER_LEAD, PER_LOG_CLASSES, OFFSET = 0.76, -0.10, 0.34
# What a head is taken to recognise where only generic pictures are there, which do not tell.
ASSUMED = 0.75
# Guesses that spread on fewer classes (the exponential of their entropy) say nothing of the others.
CROWDED = 10.0


def guessed_features(
    head: Head, unlabelled: UnlabelledFeatures, accuracy: float | None
) -> CalibrationFeatures:
    """Label features by the head's best guesses; InjectionError where they do not fit the head.

    `accuracy` is the head's own, where known; else it is estimated, or of generic ones assumed.
    """
    nothing_N = torch.zeros(len(unlabelled.features_ND), dtype=torch.long)
    features_ND = checked_features(head, unlabelled.features_ND, nothing_N)
    logits_NS = head.logits(features_ND)
    if accuracy is None:
        accuracy = ASSUMED if unlabelled.generic else _accuracy(logits_NS)
    source: Source = "generic" if unlabelled.generic else "unlabelled"
    labels_N = logits_NS.argmax(dim=1)
    return CalibrationFeatures(as_scored(head, features_ND), labels_N, accuracy, source)


def _accuracy(logits_NS: Tensor) -> float:
    """Estimate how often the head is right from how far its best guess leads."""
    if logits_NS.shape[1] < 2:
        return 1.0
    best_N2 = logits_NS.topk(2, dim=1).values
    deviation_N = logits_NS.std(dim=1).clamp_min(torch.finfo(logits_NS.dtype).tiny)
    lead = ((best_N2[:, 0] - best_N2[:, 1]) / deviation_N).mean()
    classes = torch.tensor(float(logits_NS.shape[1]))
    return float(torch.sigmoid(PER_LEAD * lead + PER_LOG_CLASSES * classes.log() + OFFSET))


def crowded(guessed: CalibrationFeatures) -> bool:
    """Tell whether generic pictures are nothing to the head: all look like a few of its classes."""
    share_C = torch.bincount(guessed.labels_N).float() / len(guessed.labels_N)
    share_C = share_C[share_C > 0]
    spread = float(torch.exp(-(share_C * share_C.log()).sum()))
    return guessed.source == "generic" and spread < CROWDED
