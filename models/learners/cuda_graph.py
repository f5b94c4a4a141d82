"""Replays a training step as one CUDA graph, where the device is one.

A step of small networks is a thousand kernels that take longer to launch than to run. The step must
make no decision by a value, ask the device for nothing, and find its inputs where they were.
"""

from collections.abc import Callable

import torch
from torch import Tensor

WARM_STEPS = 3  # run as they are: optimisers make their state in the first one


class GraphedStep:
    """A step that returns a tensor; on a CUDA device its later calls overwrite what it returned."""

    def __init__(self, step: Callable[[], Tensor], device: torch.device) -> None:
        self._step = step
        self._warm = 0 if device.type != "cuda" else WARM_STEPS
        self._is_cuda = device.type == "cuda"
        self._graph: torch.cuda.CUDAGraph | None = None
        self._result = torch.empty(0)

    def __call__(self) -> Tensor:
        """Take the step."""
        if not self._is_cuda:
            return self._step()
        if self._warm:
            self._warm -= 1
            return self._aside()
        if self._graph is None:
            self._graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graph):
                self._result = self._step()
        self._graph.replay()
        return self._result

    def _aside(self) -> Tensor:
        # What is to be captured must have run on another stream than the usual one before.
        aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        usual = torch.cuda.current_stream()
        aside.wait_stream(usual)
        with torch.cuda.stream(aside):
            result = self._step()
        usual.wait_stream(aside)
        return result
