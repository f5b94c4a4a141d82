"""Joins the linear layers of a head to one, and spreads new rows over them again.

A network with a distilled or an auxiliary head averages their answers, and an average of linear
layers is one linear layer over their features side by side.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import normalize

from headgraft.models.heads.head import Head
from headgraft.models.heads.stored import StoredLayer


def rows_first(stored: Tensor, class_axis: int) -> Tensor:
    """Return a stored weight as a matrix (C, D), whatever axes of size 1 it has."""
    return stored.movedim(class_axis, 0).flatten(1)


def computed(
    layer: StoredLayer, read: Callable[[str, str], Tensor]
) -> tuple[Tensor, Tensor | None]:
    """Return what a layer computes with: weight (C, D), and bias (C,) or None.

    `read` returns a tensor by its name, and by what it is of the head: weight or bias.
    """
    weight_CD = rows_first(read(layer.weight, "weight"), layer.class_axis)
    if layer.lengths:
        weight_CD = normalize(weight_CD) * read(layer.lengths, "weight").reshape(-1, 1)
    return weight_CD, read(layer.bias, "bias") if layer.bias else None


def join_layers(layers: Sequence[tuple[Tensor, Tensor | None]]) -> tuple[Tensor, Tensor | None]:
    """Return weight (C, sum of D) and bias (C,), or None, of the average of layers."""
    if len(layers) == 1:
        return layers[0]
    weight_CD = torch.cat([weight for weight, _ in layers], dim=1) / len(layers)
    biases = [bias for _, bias in layers if bias is not None]
    return weight_CD, torch.stack(biases).sum(dim=0) / len(layers) if biases else None


def spread(rows: Head, layers: Sequence[StoredLayer]) -> dict[str, Tensor]:
    """Return what rows (U, .) are in each tensor of the layers, class by class: (U, D), (U,).

    A copy gets the rows of the layer before it.
    """
    own = [layer for layer in layers if not layer.is_copy]
    sizes = [layer.feature_size for layer in own]
    parts = iter(torch.split(rows.weight * len(own), sizes, dim=1))
    with_bias = sum(layer.bias is not None for layer in own)
    stored: dict[str, Tensor] = {}
    part_UD = rows.weight
    for layer in layers:
        part_UD = part_UD if layer.is_copy else next(parts)
        stored[layer.weight] = part_UD
        if layer.lengths:
            stored[layer.lengths] = part_UD.norm(dim=1)
        if layer.bias and rows.bias is not None:
            stored[layer.bias] = rows.bias * (len(own) / with_bias)
    return stored
