"""Makes rows of what methods predict, and sets their length against the seen ones."""

import torch
from torch import Tensor
from torch.nn.functional import normalize

from headgraft.models.heads.head import Head


def equal_distance(rows_UK: Tensor, seen_rows_SK: Tensor, scale: float) -> Tensor:
    """Put every row (U, K) at `scale` times the seen rows' mean distance from their mean row.

    Keeps each row's direction from the mean row. A regression makes rows of uncertain classes too
    short, so that a few others would be predicted for most pictures.
    """
    mean_K = seen_rows_SK.mean(dim=0)
    distance = (seen_rows_SK - mean_K).norm(dim=1).mean()
    direction_UK: Tensor = normalize(rows_UK - mean_K)
    placed_UK: Tensor = mean_K + direction_UK * (scale * distance)
    return placed_UK


def regression_rows(head: Head, device: str | torch.device) -> Tensor:
    """Return the rows with their biases (S, K) in float64, as a regression should see them.

    The length of a cosine head's weights says nothing: they are scaled to unit length.
    """
    if head.metric == "linear":
        return head.rows.to(device, torch.float64)
    weight_SD = normalize(head.weight.to(device, torch.float64))
    if head.bias is None:
        return weight_SD
    return torch.cat([weight_SD, head.bias.to(device, torch.float64)[:, None]], dim=1)


def span(rows_SK: Tensor) -> Tensor:
    """Return an orthonormal basis (K, R) of the rows' span, or of all K where R would not be less.

    Distances and angles between rows are the same in its coordinates.
    """
    S, K = rows_SK.shape
    if S >= K:
        return torch.eye(K, dtype=rows_SK.dtype, device=rows_SK.device)
    basis_KS: Tensor = torch.linalg.qr(rows_SK.T).Q
    return basis_KS


def restore_norms(rows_UK: Tensor, head: Head) -> Tensor:
    """Give a cosine head's new rows (U, K) the seen rows' mean norm; a linear head's stay.

    It changes no logit; it keeps an extended file from mixing rows of unlike magnitude.
    """
    if head.metric == "linear":
        return rows_UK
    norm = head.weight.to(rows_UK).norm(dim=1).mean()
    D = head.feature_size
    return torch.cat([normalize(rows_UK[:, :D]) * norm, rows_UK[:, D:]], dim=1)


def text_rows(text_UD: Tensor, head: Head) -> Tensor:
    """Make rows (U, K) that point along the text, of the seen rows' mean norm, with the mean bias.

    In float64, on the device of the text.
    """
    text_UD = text_UD.double()
    rows_UK: Tensor = normalize(text_UD) * head.weight.to(text_UD).norm(dim=1).mean()
    if head.bias is None:
        return rows_UK
    return torch.cat([rows_UK, head.bias.to(text_UD).mean().expand(len(rows_UK), 1)], dim=1)
