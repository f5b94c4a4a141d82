"""Reads the measurement files; it does not know what is measured with them."""

import json
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn.functional import normalize


@dataclass(frozen=True)
class Lite0:
    """EfficientNet-Lite0's ImageNet head and its features of one picture a class."""

    weight_CD: Tensor
    bias_C: Tensor
    class_names: tuple[str, ...]
    features_ND: Tensor
    labels_N: Tensor
    folds: tuple[Tensor, ...]


def bench_folder() -> Path | None:
    """Return the folder HEADGRAFT_BENCH_DATA names, None where it is not set."""
    folder = os.environ.get("HEADGRAFT_BENCH_DATA")
    return Path(folder) if folder else None


@cache
def read_lite0(folder: Path) -> Lite0:
    """Read head, pictures and the ten folds of 100 unseen classes (boolean masks over classes)."""
    head = load_file(folder / "lite0_head.safetensors")
    images = load_file(folder / "lite0_images.safetensors")
    folds = json.loads((folder / "folds.json").read_text())["unseen_100_of_1000"]
    return Lite0(
        weight_CD=head["weight"],
        bias_C=head["bias"],
        class_names=tuple(read_class_names(folder)),
        features_ND=images["features"].float(),
        labels_N=images["labels"],
        folds=tuple(_mask(indices, len(head["weight"])) for indices in folds),
    )


def read_class_names(folder: Path) -> list[str]:
    """Read the 1000 class names; two of them stand twice (crane, maillot)."""
    names: list[str] = json.loads((folder / "imagenet1k_classes.json").read_text())["class_names"]
    return names


def read_descriptions(folder: Path, kind: str) -> list[str]:
    """Read one text a class, of kind `gloss` or `kinds`; each begins with the class name."""
    texts: list[str] = json.loads((folder / "imagenet1k_descriptions.json").read_text())[kind]
    return texts


def read_embeddings(folder: Path, names: str) -> Tensor:
    """Read class embeddings (C, A); several names joined by "+" become one vector.

    Each is made unit before they are concatenated. Centring is left to the method: centring and
    making unit each part again loses a point of T1, centring alone changes nothing.
    """
    stored = load_file(folder / "imagenet1k_class_embeddings.safetensors")
    return torch.cat([normalize(stored[name].float()) for name in names.split("+")], dim=1)


def _mask(indices: list[int], count: int) -> Tensor:
    unseen_C = torch.zeros(count, dtype=torch.bool)
    unseen_C[indices] = True
    return unseen_C
