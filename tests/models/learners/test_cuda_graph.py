"""Steps that a CUDA device replays: the same results as taking them."""

import pytest
import torch
from torch import Tensor

from headgraft.models.learners.cuda_graph import WARM_STEPS, GraphedStep


def counting(device: str) -> tuple[GraphedStep, Tensor, list[int]]:
    """Make a step that adds its input to a sum, and counts how often it was run by Python."""
    total, given, ran = torch.zeros(1, device=device), torch.ones(1, device=device), list[int]()

    def step() -> Tensor:
        ran.append(1)
        total.add_(given)
        return total * 2

    return GraphedStep(step, torch.device(device)), given, ran


def test_on_a_cpu_every_step_should_just_be_taken() -> None:
    step, given, ran = counting("cpu")

    results = [float(step()) for _ in range(5)]
    given.fill_(10)

    assert results == [2, 4, 6, 8, 10]
    assert float(step()) == 30
    assert len(ran) == 6


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_a_gpu_steps_should_be_replayed_with_what_their_inputs_hold_then() -> None:
    step, given, ran = counting("cuda")

    results = [float(step()) for _ in range(WARM_STEPS + 2)]
    given.fill_(10)

    assert results == [2, 4, 6, 8, 10]
    assert float(step()) == 30
    assert len(ran) == WARM_STEPS + 1
