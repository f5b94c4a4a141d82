"""The loss of two attention nets: each one's own, and what they ask of each other.

It does not know what the nets look like: it reads their class scores.
"""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, kl_div

TINY = 1e-12


def own_loss(
    scores_BC: Tensor, labels_B: Tensor, unseen_C: Tensor, margin: float, calibration: float
) -> Tensor:
    """Cross-entropy over all classes, and `calibration` times what lets unseen ones live.

    The second is minus the logarithm of the batch's mean probability of unseen classes (a boolean
    mask), whose scores are `margin` higher there, those of the seen `margin` lower.
    """
    loss = cross_entropy(scores_BC, labels_B)
    if not calibration or not unseen_C.any():
        return loss
    biased_BC = scores_BC + torch.where(unseen_C, margin, -margin)
    mass_B = biased_BC.softmax(dim=1)[:, unseen_C].sum(dim=1)
    return loss - calibration * mass_B.mean().clamp_min(TINY).log()


def distillation_loss(first_BC: Tensor, second_BC: Tensor) -> Tensor:
    """Jensen-Shannon divergence of two nets' softmaxes, and how far their scores are apart.

    The latter is the batch mean of sum_c |e_c|^3 / ||e||, with e the difference of the scores.
    """
    first_logs_BC, second_logs_BC = first_BC.log_softmax(dim=1), second_BC.log_softmax(dim=1)
    middle_BC = ((first_logs_BC.exp() + second_logs_BC.exp()) / 2).clamp_min(TINY).log()
    divergence = sum(
        kl_div(middle_BC, logs_BC, reduction="batchmean", log_target=True)
        for logs_BC in (first_logs_BC, second_logs_BC)
    )
    apart_BC = first_BC - second_BC
    # Scores that agree are no reason to divide by nothing, nor is their gradient.
    length_B = apart_BC.pow(2).sum(dim=1).clamp_min(TINY).sqrt()
    return divergence / 2 + (apart_BC.abs().pow(3).sum(dim=1) / length_B).mean()
