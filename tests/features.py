"""Makes labelled features for the head of `tests/checkpoints.py`: random, seeded, nobody's data."""

from pathlib import Path

import torch
from safetensors.torch import save_file

from tests import checkpoints


def write(path: Path, each: int = 5) -> Path:
    """Write so many noisy pictures of every class, and return the path."""
    weight_SD = checkpoints.tensors()["fc.weight"]
    labels_N = torch.arange(len(weight_SD)).repeat_interleave(each)
    generator = torch.Generator().manual_seed(13)
    noise_ND = torch.randn(len(labels_N), weight_SD.shape[1], generator=generator)
    save_file({"features": weight_SD[labels_N] + 0.3 * noise_ND, "labels": labels_N}, path)
    return path
