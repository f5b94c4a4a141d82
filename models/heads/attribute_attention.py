"""Attention between attributes and regions: what each attribute looks for, and what that scores.

MSDN, CVPR 2022. The one net asks each attribute at which regions to look, the other each region
which attributes it shows. In both, attribute i and region r meet in a bilinear form of the
attribute's vector and the region's feature, so that a trained net is four matrices (A, D).
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize


@dataclass(frozen=True, eq=False)
class AttributeMaps:
    """What each attribute looks for (A, D): to attend, and to score, in either net.

    `region_*` are of the net whose attention is a softmax over regions, `attribute_*` of the one
    whose attention is a softmax over attributes.
    """

    region_attention_AD: Tensor
    region_scores_AD: Tensor
    attribute_attention_AD: Tensor
    attribute_scores_AD: Tensor

    def named(self) -> dict[str, Tensor]:
        """Return the four (A, D) by their names in a file, in the order of the fields."""
        return {name.removesuffix("_AD"): map_AD for name, map_AD in vars(self).items()}

    def stacked(self) -> Tensor:
        """Return all four, (4A, D), in the order of the fields."""
        return torch.cat(list(self.named().values()))


def attribute_scores(features_NDR: Tensor, stacked_4AD: Tensor) -> tuple[Tensor, Tensor]:
    """Return the attribute scores of both nets, (N, A) each; see `AttributeMaps.stacked`.

    The regions' features are brought to unit length first.
    """
    attend_NAR, score_NAR, attend_too_NAR, score_too_NAR = _meet(features_NDR, stacked_4AD)
    by_regions_NA = (attend_NAR.softmax(dim=2) * score_NAR).sum(dim=2)
    by_attributes_NA = (attend_too_NAR.softmax(dim=1) * score_too_NAR).sum(dim=2)
    return by_regions_NA, by_attributes_NA


def region_attention(features_NDR: Tensor, maps: AttributeMaps, alpha: float) -> Tensor:
    """Return where each attribute is looked for: (N, A, R), of sum 1 over the regions.

    `alpha` is the share of the first net. Of the second, a region's part is how much of its own
    attention, over attributes, this one has.
    """
    attend_NAR, _, attend_too_NAR, _ = _meet(features_NDR, maps.stacked())
    shares_NAR = attend_too_NAR.softmax(dim=1)
    by_attributes_NAR = shares_NAR / shares_NAR.sum(dim=2, keepdim=True)
    return alpha * attend_NAR.softmax(dim=2) + (1 - alpha) * by_attributes_NAR


def _meet(features_NDR: Tensor, stacked_4AD: Tensor) -> tuple[Tensor, ...]:
    return (stacked_4AD @ normalize(features_NDR, dim=1)).chunk(4, dim=1)
