"""The two attention nets of MSDN (CVPR 2022) as they are trained."""

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from headgraft.models.heads.attribute_attention import AttributeMaps


class AttentionNets(nn.Module):
    """Attribute vectors (A, V) that are learned, and four maps (V, D) from them to features.

    The first net's score map starts as N(0, 1) from the generator, all others as 0.
    """

    def __init__(self, vectors_AV: Tensor, feature_size: int, generator: torch.Generator) -> None:
        super().__init__()
        shape = (vectors_AV.shape[1], feature_size)
        self.vectors_AV = nn.Parameter(normalize(vectors_AV.float()).clone())
        self.region_scores_VD = nn.Parameter(torch.randn(shape, generator=generator))
        self.region_attention_VD = nn.Parameter(torch.zeros(shape))
        self.attribute_scores_VD = nn.Parameter(torch.zeros(shape))
        self.attribute_attention_VD = nn.Parameter(torch.zeros(shape))

    def maps(self) -> AttributeMaps:
        """Return what the nets have come to look for."""
        return AttributeMaps(
            self.vectors_AV @ self.region_attention_VD,
            self.vectors_AV @ self.region_scores_VD,
            self.vectors_AV @ self.attribute_attention_VD,
            self.vectors_AV @ self.attribute_scores_VD,
        )
