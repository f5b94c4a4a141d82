"""Makes small checkpoints and requests for tests: random, seeded, never anybody's data."""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor


def class_names(count: int, prefix: str = "class") -> list[str]:
    """Return distinct names."""
    return [f"{prefix} {number}" for number in range(count)]


def tensors(
    seen: int = 20, features: int = 16, dtype: torch.dtype = torch.float32
) -> dict[str, Tensor]:
    """Return a head and tensors around it that must come back untouched."""
    generator = torch.Generator().manual_seed(7)
    return {
        "conv.weight": torch.randn(4, 3, 3, 3, generator=generator),
        "bn.num_batches_tracked": torch.tensor(12),
        "fc.weight": torch.randn(seen, features, generator=generator).to(dtype),
        "fc.bias": torch.randn(seen, generator=generator).to(dtype),
    }


def write(path: Path, content: dict[str, Tensor] | None = None) -> Path:
    """Write a checkpoint and return its path."""
    save_file(content or tensors(), path, metadata={"format": "pt"})
    return path


def vectors(
    seen: int = 20, unseen: int = 3, size: int = 8, kind: str = "embeddings"
) -> dict[str, Any]:
    """Return random class embeddings as a request carries them."""
    generator = torch.Generator().manual_seed(11)
    return {
        "kind": kind,
        "seen": torch.randn(seen, size, generator=generator).tolist(),
        "unseen": torch.randn(unseen, size, generator=generator).tolist(),
    }


def request(seen: int = 20, unseen: int = 3, **fields: Any) -> dict[str, Any]:
    """Return an injection request for the head of `tensors`, with vectors, so without encoder."""
    return {
        "class_names": class_names(seen),
        "add": class_names(unseen, "new"),
        "class_embeddings": vectors(seen, unseen),
        # By name: `auto` would try whatever methods a test has added, the deadly one too.
        "method": "ridge",
        **fields,
    }
