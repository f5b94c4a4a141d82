"""Reads uploaded labelled features, no more of them than calibration can use."""

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from headgraft.models.errors import InjectionError
from headgraft.models.features.labelled import (
    INVALID,
    POINTER,
    CalibrationFeatures,
    calibration_features,
)
from headgraft.models.heads.head import Head

# Beyond these, more pictures hardly move an estimate; scores take (pictures, classes) floats.
PICTURES_MAX, PICTURES_ALWAYS = 6000, 2000
SCORES_MAX = 40_000_000
BLOCK_NUMBERS = 8_000_000


def read_features(path: Path, head: Head) -> CalibrationFeatures:
    """Read `features` (N, D) and `labels` (N,), as many per class as there is room for.

    InjectionError (`invalid_features`) where they do not fit the head or the file is broken.
    """
    try:
        with safe_open(path, framework="pt") as file:
            labels_N = file.get_tensor("labels").long()
            stored = file.get_slice("features")
            chosen_M = choose(labels_N, _room(head))
            features_MD = _rows(stored, chosen_M)
    except (SafetensorError, OSError) as error:
        problem = f"the features cannot be read: {error}"
        raise InjectionError(problem, code=INVALID, pointer=POINTER) from error
    return calibration_features(head, features_MD, labels_N[chosen_M])


def choose(labels_N: Tensor, limit: int, seed: int = 0) -> Tensor:
    """Return the indices, rising, of at most `limit` pictures, of every class alike many (M,)."""
    if len(labels_N) <= limit:
        return torch.arange(len(labels_N))
    shuffled = torch.randperm(len(labels_N), generator=torch.Generator().manual_seed(seed))
    by_class = shuffled[labels_N[shuffled].argsort(stable=True)]
    counts_S = labels_N.bincount()
    starts_N = (counts_S.cumsum(0) - counts_S).repeat_interleave(counts_S)
    rank_N = torch.arange(len(labels_N)) - starts_N
    return by_class[rank_N.argsort(stable=True)[:limit]].sort().values


def _room(head: Head) -> int:
    return max(PICTURES_ALWAYS, min(PICTURES_MAX, SCORES_MAX // head.class_count))


def _rows(stored: Any, chosen_M: Tensor) -> Tensor:
    """Gather rows block by block: the file may be larger than memory."""
    count, size = stored.get_shape()
    block = max(1, BLOCK_NUMBERS // size)
    parts = []
    for start in range(0, count, block):
        inside_M = chosen_M[(chosen_M >= start) & (chosen_M < start + block)] - start
        if len(inside_M):
            parts.append(stored[start : start + block][inside_M].float())
    return torch.cat(parts)
