"""Random numbers for an inner loop: drawn on the CPU in blocks, handed out on the device.

The same seed means the same numbers on every device.
"""

from collections.abc import Callable

import torch
from torch import Tensor

BLOCK = 2**18  # numbers that cross to the device at once

Sampler = Callable[..., Tensor]


def _below(uniforms_N: Tensor, limit: int) -> Tensor:
    # A number just below 1 may round up to the limit.
    return (uniforms_N * limit).long().clamp_max(limit - 1)


class StepBlocks:
    """Hands out the numbers of one step, in order, from two tensors that are filled before it."""

    def __init__(self, normals: int, uniforms: int, device: torch.device) -> None:
        self._normals_N = torch.empty(normals, device=device)
        self._uniforms_M = torch.empty(uniforms, device=device)
        self._normals_used = self._uniforms_used = 0

    def refill(self, draws: "RandomBlocks") -> None:
        """Get new numbers, in place."""
        draws.fill(self._normals_N, self._uniforms_M)

    def begin(self) -> None:
        """Hand out from the first number on."""
        self._normals_used = self._uniforms_used = 0

    def normal(self, rows: int, columns: int) -> Tensor:
        """Draw standard normal numbers (rows, columns)."""
        first, self._normals_used = self._normals_used, self._normals_used + rows * columns
        return self._normals_N[first : self._normals_used].view(rows, columns)

    def uniform(self, rows: int) -> Tensor:
        """Draw from [0, 1): (rows, 1)."""
        first, self._uniforms_used = self._uniforms_used, self._uniforms_used + rows
        return self._uniforms_M[first : self._uniforms_used].view(rows, 1)

    def indices(self, count: int, limit: int) -> Tensor:
        """Draw whole numbers below `limit`, with replacement: (count,), int64."""
        return _below(self.uniform(count)[:, 0], limit)


class RandomBlocks:
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
        return _below(self._take(torch.rand, count), limit)

    def fill(self, normals_N: Tensor, uniforms_M: Tensor) -> None:
        """Fill two tensors of the device with normal numbers and with ones from [0, 1)."""
        normals_N.copy_(self._take(torch.randn, len(normals_N)))
        uniforms_M.copy_(self._take(torch.rand, len(uniforms_M)))

    def _take(self, sampler: Sampler, count: int) -> Tensor:
        left = self._left.get(sampler)
        if left is None or len(left) < count:
            whole = count * max(1, BLOCK // count)  # takes of one size waste nothing
            left = sampler(whole, generator=self._generator).to(self._device)
        self._left[sampler] = left[count:]
        return left[:count]
