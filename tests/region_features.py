"""Makes labelled features of regions, and requests by attributes: random, seeded, nobody's data."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from headgraft.models.features.regions import grid_of
from tests import checkpoints

ATTRIBUTES = 6


@dataclass(frozen=True, eq=False)
class RegionsInMemory:
    """Region features (N, D, R) and labels (N,) in memory."""

    features_NDR: Tensor
    labels_N: Tensor

    @property
    def feature_size(self) -> int:
        return self.features_NDR.shape[1]

    @property
    def grid(self) -> tuple[int, int]:
        return grid_of(self.features_NDR.shape[2])

    def take(self, numbers_B: Tensor) -> Tensor:
        return self.features_NDR[numbers_B].float().cpu()


def write(
    path: Path,
    shape: tuple[int, ...] = (8, 3, 2),
    each: int = 5,
    seen: int = 20,
    dtype: torch.dtype = torch.float32,
) -> Path:
    """Write as many pictures of every class of the head of `checkpoints`; return the path."""
    labels_N = torch.arange(seen).repeat_interleave(each)
    generator = torch.Generator().manual_seed(13)
    drawn = torch.randn(len(labels_N), *shape, generator=generator)
    save_file({"features": drawn.to(dtype), "labels": labels_N}, path)
    return path


def attributes(seen: int = 20, unseen: int = 3, **fields: Any) -> dict[str, Any]:
    """Return class embeddings by attributes, each attribute a vector and a name."""
    generator = torch.Generator().manual_seed(17)
    return {
        **checkpoints.vectors(seen, unseen, ATTRIBUTES, kind="attributes"),
        "attribute_names": [f"trait {number}" for number in range(ATTRIBUTES)],
        "attribute_vectors": torch.randn(ATTRIBUTES, 4, generator=generator).tolist(),
        **fields,
    }


def request(**fields: Any) -> dict[str, Any]:
    """Return a request for msdn with little training, but for `features_id`."""
    settings = {"epochs": 1}
    known = {"method": "msdn", "class_embeddings": attributes(), "settings": settings}
    return checkpoints.request(**{**known, **fields})
