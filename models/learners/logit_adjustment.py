"""Offsets that balance seen against unseen classes in a training loss; it trains nothing itself.

Zero-Shot Logit Adjustment, IJCAI 2022, arXiv 2204.11822: logits + offsets in training only.
"""

import torch
from torch import Tensor


def offsets(counts_S: Tensor, unseen: int, r: float) -> Tensor:
    """Return what to add to the training logits (C,): log p(class | group) + log p(group), float32.

    A seen class's share of its group is its share of `counts_S`, an unseen one's is 1 / unseen;
    the groups' odds are r : 1. A larger `r` favours unseen classes once the offsets are dropped.
    The scale is that of the logits, so `r` goes with their temperature. ValueError where a seen
    class has no sample, or there is no unseen class, or r is not positive.
    """
    if unseen < 1 or r <= 0:
        raise ValueError(f"{unseen} unseen classes at r = {r:g}: both must be positive")
    if not (counts_S > 0).all():
        empty = int((counts_S <= 0).nonzero()[0])
        raise ValueError(f"seen class {empty} has no sample: its offset would be infinite")
    share_S = counts_S.double() / counts_S.sum()
    seen_S = share_S.log() - torch.log1p(share_S.new_tensor(1 / r))
    unseen_1 = -torch.log1p(share_S.new_tensor(r)) - share_S.new_tensor(unseen).log()
    return torch.cat([seen_S, unseen_1.expand(unseen)]).float()
