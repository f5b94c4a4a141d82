"""Text features as rows of a head on features of one model; how they arose it does not know."""

import torch
from torch import Tensor
from torch.nn.functional import normalize

from headgraft.models.heads.head import Head


def text_rows(text_UD: Tensor, head: Head) -> Tensor:
    """Make rows (U, K) that point along the text, of the seen rows' mean norm, with the mean bias.

    In float64, on the device of the text.
    """
    text_UD = text_UD.double()
    rows_UK: Tensor = normalize(text_UD) * head.weight.to(text_UD).norm(dim=1).mean()
    if head.bias is None:
        return rows_UK
    return torch.cat([rows_UK, head.bias.to(text_UD).mean().expand(len(rows_UK), 1)], dim=1)
