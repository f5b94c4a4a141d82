"""Scores the head of a file on labelled features."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from headgraft.models.errors import InjectionError
from headgraft.models.features.labelled import NamedFeatures
from headgraft.models.metrics import Gzsl, evaluate
from headgraft.workers.evaluate import features as labelled_files
from headgraft.workers.evaluate import heads, xlsa17
from headgraft.workers.evaluate import unseen as unseen_rows
from headgraft.workers.evaluate.heads import AS_STORED, LoadedHead, RowOptions
from headgraft.workers.formats.find_head import HeadTensors


@dataclass(frozen=True)
class EvaluationRequest:
    """Which head on which pictures; None leaves a choice to what the files say."""

    head: Path
    features: Path
    names: Path | None = None
    unseen: Path | None = None
    seen_count: int | None = None
    splits: Path | None = None
    label_names: Path | None = None
    row_options: RowOptions = AS_STORED


@dataclass(frozen=True)
class ClassCounts:
    """The seen or the unseen classes: how many, their pictures, and the names without one."""

    classes: int
    pictures: int
    without_picture: tuple[str, ...]


@dataclass(frozen=True)
class Evaluation:
    """Accuracies in [0, 1], and what they were measured on."""

    scores: Gzsl
    seen: ClassCounts
    unseen: ClassCounts
    tensors: HeadTensors
    notes: tuple[str, ...]


def evaluate_head(request: EvaluationRequest) -> Evaluation:
    """Score a head on the pictures of both sides.

    InjectionError or HeaderError for what does not fit, naming it and what would.
    """
    if not 0 < request.row_options.scale < float("inf"):
        raise InjectionError(f"--head-scale {request.row_options.scale} must be a positive number")
    pictures, unseen_names = _pictures(request)
    metadata = heads.read_metadata(request.head)
    head = _head(request, metadata, pictures)
    unseen_C, notes = _unseen_mask(request, metadata, head.class_names, unseen_names)
    if pictures.features_NF.shape[1] != head.tensors.feature_size:
        raise InjectionError(
            f"{request.features}: the features have {pictures.features_NF.shape[1]} numbers a "
            f"picture; the head {head.tensors.weight!r} takes {head.tensors.feature_size}"
        )
    if (pictures.features_NF.ndim > 2) != head.takes_regions:
        wanted = "features of regions" if head.takes_regions else "one feature a picture"
        shape = tuple(pictures.features_NF.shape)
        raise InjectionError(
            f"{request.features}: the head reads {wanted}; these have shape {shape}"
        )
    labels_N = pictures.rows_in(head.class_names)
    seen = _side("seen", head.class_names, labels_N, ~unseen_C)
    unseen = _side("unseen", head.class_names, labels_N, unseen_C)
    scores = evaluate(head.scorer, pictures.features_NF, labels_N, unseen_C)
    return Evaluation(scores, seen, unseen, head.tensors, notes)


def _pictures(request: EvaluationRequest) -> tuple[NamedFeatures, tuple[str, ...] | None]:
    """Read the features to score, and the unseen classes where the file names them."""
    if request.features.suffix == ".mat":
        return _benchmark(request)
    if request.splits is not None:
        raise InjectionError(
            f"--splits {request.splits} goes with the .mat features of the same benchmark, "
            f"not with {request.features}"
        )
    if request.unseen is not None and request.seen_count is not None:
        raise InjectionError("--unseen and --seen-count say the same: give one of them")
    label_names = _listed(request.label_names)
    return labelled_files.read(request.features, label_names), _listed(request.unseen)


def _listed(path: Path | None) -> tuple[str, ...] | None:
    return None if path is None else labelled_files.read_names(path)


def _benchmark(request: EvaluationRequest) -> tuple[NamedFeatures, tuple[str, ...]]:
    for option, value in (
        ("--unseen", request.unseen),
        ("--seen-count", request.seen_count),
        ("--label-names", request.label_names),
    ):
        if value is not None:
            raise InjectionError(f"{option} {value} does not go with .mat: its splits say it")
    path = request.splits or request.features.with_name(xlsa17.SPLITS_FILE)
    splits = xlsa17.read_splits(path)
    every = xlsa17.read_pictures(request.features, splits)
    chosen = torch.cat([splits.test_seen, splits.test_unseen])
    pictures = NamedFeatures(every.features_NF[chosen], every.labels_N[chosen], every.class_names)
    return pictures, splits.unseen_names(every)


def _head(
    request: EvaluationRequest, metadata: dict[str, str], pictures: NamedFeatures
) -> LoadedHead:
    if not heads.is_native(metadata):
        names = _row_names(request, metadata, pictures)
        return heads.read_rows(request.head, names, request.row_options)
    if request.names is not None or request.row_options != AS_STORED:
        raise InjectionError(
            f"{request.head} says itself how to read it: leave out --names and --head-..."
        )
    return heads.read_native(request.head, metadata)


def _row_names(
    request: EvaluationRequest, metadata: dict[str, str], pictures: NamedFeatures
) -> tuple[str, ...]:
    if request.names is not None:
        return labelled_files.read_names(request.names)
    names = labelled_files.names_in(metadata, request.head) or pictures.class_names
    if names is None:
        raise InjectionError(
            f"{request.head} does not say which classes its rows are: list them with --names FILE"
        )
    return names


def _unseen_mask(
    request: EvaluationRequest,
    metadata: dict[str, str],
    names: tuple[str, ...],
    unseen_names: tuple[str, ...] | None,
) -> tuple[Tensor, tuple[str, ...]]:
    """Return the mask (C,) of the unseen rows, and notes where the head's metadata disagrees."""
    stored = unseen_rows.stored_count(request.head, metadata, len(names))
    if request.seen_count is not None:
        unseen_C = unseen_rows.by_count(request.seen_count, len(names))
    elif unseen_names is not None:
        unseen_C = unseen_rows.by_names(unseen_names, names)
    elif stored is not None:
        unseen_C = unseen_rows.by_count(stored, len(names))
    else:
        raise InjectionError(
            f"{request.head} does not say which of its {len(names)} classes are unseen: list them "
            "with --unseen FILE, or give the number of the seen ones, which come first, as "
            "--seen-count N"
        )
    if stored is not None and not torch.equal(unseen_C, torch.arange(len(names)) >= stored):
        injected = len(names) - stored
        return unseen_C, (f"the head says that its last {injected} classes were the injected ones",)
    return unseen_C, ()


def _side(which: str, names: tuple[str, ...], labels_N: Tensor, chosen_C: Tensor) -> ClassCounts:
    counts_C = torch.bincount(labels_N, minlength=len(names))
    empty = (chosen_C & (counts_C == 0)).nonzero().flatten().tolist()
    classes, pictures = int(chosen_C.sum()), int(counts_C[chosen_C].sum())
    if not pictures:
        raise InjectionError(f"none of the {classes} {which} classes has a picture")
    return ClassCounts(classes, pictures, tuple(names[row] for row in empty))
