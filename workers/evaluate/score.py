"""Scores the head of a file on labelled features; it does not know how the rows came about."""

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
from headgraft.workers.evaluate.heads import AS_FOUND, HeadFile, How
from headgraft.workers.formats.find_head import HeadTensors


@dataclass(frozen=True)
class Question:
    """Which head on which pictures; None leaves a choice to what the files say."""

    head: Path
    features: Path
    names: Path | None = None
    unseen: Path | None = None
    seen_count: int | None = None
    splits: Path | None = None
    label_names: Path | None = None
    how: How = AS_FOUND


@dataclass(frozen=True)
class Side:
    """The seen or the unseen classes: how many, their pictures, and who has none."""

    classes: int
    pictures: int
    without_picture: tuple[str, ...]


@dataclass(frozen=True)
class Answer:
    """Accuracies in [0, 1], and what they were measured on."""

    scores: Gzsl
    seen: Side
    unseen: Side
    tensors: HeadTensors
    notes: tuple[str, ...]


def answer(question: Question) -> Answer:
    """Score a head on the pictures of both sides.

    InjectionError or HeaderError for what does not fit, naming it and what would.
    """
    if not 0 < question.how.scale < float("inf"):
        raise InjectionError(f"--head-scale {question.how.scale} must be a positive number")
    pictures, unseen_names = _pictures(question)
    metadata = heads.read_metadata(question.head)
    head = _head(question, metadata, pictures)
    unseen_C, notes = _unseen_mask(question, metadata, head.class_names, unseen_names)
    if pictures.features_NF.shape[1] != head.tensors.feature_size:
        raise InjectionError(
            f"{question.features}: the features have {pictures.features_NF.shape[1]} numbers a "
            f"picture; the head {head.tensors.weight!r} takes {head.tensors.feature_size}"
        )
    if (pictures.features_NF.ndim > 2) != head.takes_regions:
        wanted = "features of regions" if head.takes_regions else "one feature a picture"
        shape = tuple(pictures.features_NF.shape)
        raise InjectionError(
            f"{question.features}: the head reads {wanted}; these have shape {shape}"
        )
    labels_N = pictures.rows_in(head.class_names)
    seen = _side("seen", head.class_names, labels_N, ~unseen_C)
    unseen = _side("unseen", head.class_names, labels_N, unseen_C)
    scores = evaluate(head.scorer, pictures.features_NF, labels_N, unseen_C)
    return Answer(scores, seen, unseen, head.tensors, notes)


def _pictures(question: Question) -> tuple[NamedFeatures, tuple[str, ...] | None]:
    """Read the pictures to score, and the unseen classes where the file settles them."""
    if question.features.suffix == ".mat":
        return _benchmark(question)
    if question.splits is not None:
        raise InjectionError(
            f"--splits {question.splits} goes with the .mat features of the same benchmark, "
            f"not with {question.features}"
        )
    if question.unseen is not None and question.seen_count is not None:
        raise InjectionError("--unseen and --seen-count say the same: give one of them")
    label_names = _listed(question.label_names)
    return labelled_files.read(question.features, label_names), _listed(question.unseen)


def _listed(path: Path | None) -> tuple[str, ...] | None:
    return None if path is None else labelled_files.read_names(path)


def _benchmark(question: Question) -> tuple[NamedFeatures, tuple[str, ...]]:
    for option, value in (
        ("--unseen", question.unseen),
        ("--seen-count", question.seen_count),
        ("--label-names", question.label_names),
    ):
        if value is not None:
            raise InjectionError(f"{option} {value} does not go with .mat: its splits say it")
    path = question.splits or question.features.with_name(xlsa17.SPLITS_FILE)
    splits = xlsa17.read_splits(path)
    every = xlsa17.read_pictures(question.features, splits)
    chosen = torch.cat([splits.test_seen, splits.test_unseen])
    pictures = NamedFeatures(every.features_NF[chosen], every.labels_N[chosen], every.class_names)
    return pictures, splits.unseen_names(every)


def _head(question: Question, metadata: dict[str, str], pictures: NamedFeatures) -> HeadFile:
    if not heads.is_native(metadata):
        names = _row_names(question, metadata, pictures)
        return heads.read_rows(question.head, names, question.how)
    if question.names is not None or question.how != AS_FOUND:
        raise InjectionError(
            f"{question.head} says itself how to read it: leave out --names and --head-..."
        )
    return heads.read_native(question.head, metadata)


def _row_names(
    question: Question, metadata: dict[str, str], pictures: NamedFeatures
) -> tuple[str, ...]:
    if question.names is not None:
        return labelled_files.read_names(question.names)
    names = labelled_files.names_in(metadata, question.head) or pictures.class_names
    if names is None:
        raise InjectionError(
            f"{question.head} does not say which classes its rows are: list them with --names FILE"
        )
    return names


def _unseen_mask(
    question: Question,
    metadata: dict[str, str],
    names: tuple[str, ...],
    unseen_names: tuple[str, ...] | None,
) -> tuple[Tensor, tuple[str, ...]]:
    """Return the mask (C,) of the unseen rows, and what is odd about it."""
    stored = unseen_rows.stored_count(question.head, metadata, len(names))
    if question.seen_count is not None:
        unseen_C = unseen_rows.by_count(question.seen_count, len(names))
    elif unseen_names is not None:
        unseen_C = unseen_rows.by_names(unseen_names, names)
    elif stored is not None:
        unseen_C = unseen_rows.by_count(stored, len(names))
    else:
        raise unseen_rows.unknown(question.head, len(names))
    if stored is not None and not torch.equal(unseen_C, torch.arange(len(names)) >= stored):
        injected = len(names) - stored
        return unseen_C, (f"the head says that its last {injected} classes were the injected ones",)
    return unseen_C, ()


def _side(which: str, names: tuple[str, ...], labels_N: Tensor, chosen_C: Tensor) -> Side:
    counts_C = torch.bincount(labels_N, minlength=len(names))
    empty = (chosen_C & (counts_C == 0)).nonzero().flatten().tolist()
    classes, pictures = int(chosen_C.sum()), int(counts_C[chosen_C].sum())
    if not pictures:
        raise InjectionError(f"none of the {classes} {which} classes has a picture")
    return Side(classes, pictures, tuple(names[row] for row in empty))
