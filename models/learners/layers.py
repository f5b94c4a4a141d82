"""Makes linear layers whose weights come from a given generator."""

import torch
from torch import nn

DEVIATION = 0.02


def seeded_linear(
    inputs: int,
    outputs: int,
    generator: torch.Generator,
    *,
    deviation: float = DEVIATION,
    bias: bool = True,
) -> nn.Linear:
    """Make a layer with weights N(0, deviation) drawn on the CPU, and biases 0."""
    # nn.Linear's own initialisation would draw from the process-wide generator.
    layer = nn.Linear(inputs, outputs, bias=bias, device="meta").to_empty(device="cpu")
    nn.init.normal_(layer.weight, std=deviation, generator=generator)
    if bias:
        nn.init.zeros_(layer.bias)
    return layer
