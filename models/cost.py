"""Predicts how long a computation takes, from its size."""

import torch

# Two CPU cores: multiply-adds a second, and parameters that Adam updates a second.
MULTIPLY_ADDS = 6e10
UPDATES = 3e8
GPU_SPEEDUP = 20.0


def training_seconds(
    multiply_adds: float, updates: float, device: str | torch.device = "cpu"
) -> float:
    """Predict the seconds of a training: forward multiply-adds, and parameters times steps.

    Gradients cost twice the multiply-adds again.
    """
    seconds = 3 * multiply_adds / MULTIPLY_ADDS + updates / UPDATES
    return float(seconds / GPU_SPEEDUP if torch.device(device).type == "cuda" else seconds)
