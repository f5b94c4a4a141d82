"""Makes rows of what methods predict, and sets their length against the seen ones."""

import torch
from torch import Tensor
from torch.nn.functional import normalize

from headgraft.models.heads.head import Head


def centre(rows_SK: Tensor, head: Head | None = None) -> tuple[Tensor, Tensor]:
    """Return the mean (K,) of a head's trained rows, and their mean distance from it.

    Injected rows stand at a multiple of that distance: with them in it, it would grow with every
    injection.
    """
    trained_TK = rows_SK[head.trained_C.to(rows_SK.device)] if head else rows_SK
    mean_K = trained_TK.mean(dim=0)
    return mean_K, (trained_TK - mean_K).norm(dim=1).mean()


def equal_distance(
    rows_UK: Tensor, seen_rows_SK: Tensor, scale: float, head: Head | None = None
) -> Tensor:
    """Put every row (U, K) at `scale` times the seen rows' mean distance from their mean row.

    Keeps each row's direction from the mean row. A regression makes rows of uncertain classes too
    short, so that a few others would be predicted for most pictures.
    """
    mean_K, distance = centre(seen_rows_SK, head)
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
    norm = _mean_norm(head, rows_UK)
    D = head.feature_size
    return torch.cat([normalize(rows_UK[:, :D]) * norm, rows_UK[:, D:]], dim=1)


def text_rows(text_UD: Tensor, head: Head) -> Tensor:
    """Make rows (U, K) that point along the text, of the seen rows' mean norm, with the mean bias.

    In float64, on the device of the text.
    """
    text_UD = text_UD.double()
    rows_UK: Tensor = normalize(text_UD) * _mean_norm(head, text_UD)
    if head.bias is None:
        return rows_UK
    return torch.cat([rows_UK, head.bias.to(text_UD).mean().expand(len(rows_UK), 1)], dim=1)


def _mean_norm(head: Head, like: Tensor) -> Tensor:
    norm: Tensor = head.weight[head.trained_C].to(like).norm(dim=1).mean()
    return norm
