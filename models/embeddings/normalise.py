"""Centres class embeddings and scales them to unit length."""

import torch
from torch import Tensor
from torch.nn.functional import normalize


def prepare(
    seen_SA: Tensor, unseen_UA: Tensor, *, centre: bool, unit: bool = True
) -> tuple[Tensor, Tensor]:
    """Scale embeddings (S, A), (U, A) to unit length; if `centre`, subtract the seen mean, rescale.

    Without `unit`, lengths are left alone.

    Only seen classes enter the mean, so that a class's row does not depend on the other
    classes injected with it. A vector equal to the mean becomes zero.
    """
    scaled = normalize if unit else torch.Tensor.clone
    seen_SA, unseen_UA = scaled(seen_SA), scaled(unseen_UA)
    if not centre:
        return seen_SA, unseen_UA
    mean_A = seen_SA.mean(dim=0)
    return scaled(_clean(seen_SA - mean_A)), scaled(_clean(unseen_UA - mean_A))


def _clean(difference_CA: Tensor) -> Tensor:
    # Rounding noise around zero would otherwise be blown up into a random direction.
    noise = 8 * torch.finfo(difference_CA.dtype).eps
    return torch.where(difference_CA.norm(dim=1, keepdim=True) > noise, difference_CA, 0.0)
