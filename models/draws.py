"""Random numbers for an inner loop: drawn on the CPU in blocks, handed out on the device.

It does not know what they are for. The same seed means the same numbers on every device.
"""

from collections.abc import Callable

import torch
from torch import Tensor

BLOCK = 2**18  # numbers that cross to the device at once

Sampler = Callable[..., Tensor]


class Draws:
    """Hands out numbers of one CPU generator on `device`."""

    def __init__(self, generator: torch.Generator, device: torch.device) -> None:
        self._generator = generator
        self._device = device
        self._left: dict[Sampler, Tensor] = {}

    def normal(self, rows: int, columns: int) -> Tensor:
        """Draw standard normal numbers (rows, columns)."""
        return self._take(torch.randn, rows * columns).view(rows, columns)

    def uniform(self, rows: int) -> Tensor:
        """Draw from [0, 1): (rows, 1)."""
        return self._take(torch.rand, rows).view(rows, 1)

    def indices(self, count: int, limit: int) -> Tensor:
        """Draw whole numbers below `limit`, with replacement: (count,), int64."""
        # A number just below 1 may round up to the limit.
        return (self._take(torch.rand, count) * limit).long().clamp_max(limit - 1)

    def _take(self, sampler: Sampler, count: int) -> Tensor:
        left = self._left.get(sampler)
        if left is None or len(left) < count:
            left = sampler(max(count, BLOCK), generator=self._generator).to(self._device)
        self._left[sampler] = left[count:]
        return left[:count]
