"""Reads uploaded features, labelled or not, no more of them than calibration can use."""

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
    UnlabelledFeatures,
    calibration_features,
    check_label_range,
)
from headgraft.models.heads.head import Head
from headgraft.workers.jobs.spec import UNLABELLED

# Beyond these, more pictures hardly move an estimate; scores take (pictures, classes) floats.
PICTURES_MAX, PICTURES_ALWAYS = 6000, 2000
SCORES_MAX = 40_000_000
BLOCK_NUMBERS = 8_000_000

PictureFeatures = tuple[CalibrationFeatures | None, UnlabelledFeatures | None]


def read_features(path: Path, head: Head) -> PictureFeatures:
    """Read `features` (N, D) and, where there are any, `labels` (N,): as many as there is room for.

    Returns those with a label, and those without, each None where there is none. InjectionError
    (`invalid_features`) where they do not fit the head or the file is broken.
    """
    try:
        with safe_open(path, framework="pt") as file:
            stored = file.get_slice("features")
            _check_shape(stored.get_shape(), head)
            labels_N = _labels(file, stored.get_shape()[0])
            # A label that is not known would be no label of the head's.
            check_label_range(labels_N.where(labels_N != UNLABELLED, 0), head.class_count)
            generic = (file.metadata() or {}).get("generic") == "true"
            chosen_M = choose(labels_N, _room(head))
            features_MD, labels_M = _rows(stored, chosen_M), labels_N[chosen_M]
    except (SafetensorError, OSError) as error:
        raise _error(f"the features cannot be read: {error}") from error
    if not torch.isfinite(features_MD).all():
        raise _error("the features hold NaN or infinity")
    known_M = labels_M != UNLABELLED
    labelled = unlabelled = None
    if known_M.any():
        labelled = calibration_features(head, features_MD[known_M], labels_M[known_M])
    if not known_M.all():
        unlabelled = UnlabelledFeatures(features_MD[~known_M], generic)
    return labelled, unlabelled


def choose(labels_N: Tensor, limit: int, seed: int = 0) -> Tensor:
    """Return the indices, rising, of at most `limit` pictures (M,), of every class alike many.

    Of those without a label (-1) they are drawn. Where there is not room for all, each of the two
    kinds has half of it, or what the other leaves.
    """
    known_K = (labels_N != UNLABELLED).nonzero().flatten()
    others_O = (labels_N == UNLABELLED).nonzero().flatten()
    room = max(limit - len(others_O), limit // 2)
    known_K = known_K[_of_every_class(labels_N[known_K], room, seed)]
    shuffled_O = torch.randperm(len(others_O), generator=torch.Generator().manual_seed(seed))
    others_O = others_O[shuffled_O[: limit - len(known_K)]]
    return torch.cat([known_K, others_O]).sort().values


def _of_every_class(labels_N: Tensor, limit: int, seed: int) -> Tensor:
    if len(labels_N) <= limit:
        return torch.arange(len(labels_N))
    shuffled = torch.randperm(len(labels_N), generator=torch.Generator().manual_seed(seed))
    by_class = shuffled[labels_N[shuffled].argsort(stable=True)]
    counts_S = labels_N.bincount()
    starts_N = (counts_S.cumsum(0) - counts_S).repeat_interleave(counts_S)
    rank_N = torch.arange(len(labels_N)) - starts_N
    return by_class[rank_N.argsort(stable=True)[:limit]]


def _room(head: Head) -> int:
    return max(PICTURES_ALWAYS, min(PICTURES_MAX, SCORES_MAX // head.class_count))


def _labels(file: Any, pictures: int) -> Tensor:
    if "labels" in file.keys():  # noqa: SIM118  # no mapping
        labels_N: Tensor = file.get_tensor("labels").long()
        return labels_N
    return torch.full((pictures,), UNLABELLED)


def _check_shape(shape: list[int], head: Head) -> None:
    if len(shape) != 2 or shape[1] != head.feature_size:
        raise _error(
            f"the features have the shape {tuple(shape)}; this head reads {head.feature_size} "
            "numbers a picture"
        )


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


def _error(problem: str) -> InjectionError:
    return InjectionError(problem, code=INVALID, pointer=POINTER)
