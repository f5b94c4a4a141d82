"""Scores the head of a file on labelled features; it does not know how the rows came about."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from models import checkpoint
from models.errors import InjectionError
from models.head import Head, Metric
from models.labelled import Labelled, features_error
from models.metrics import Gzsl, evaluate
from workers import header, labelled_files, unseen_rows, xlsa17


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
    weight: str | None = None
    bias: str | None = None
    metric: Metric = "linear"
    scale: float = 1.0


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
    tensors: header.HeadTensors
    notes: tuple[str, ...]


def answer(question: Question) -> Answer:
    """Score a head on the pictures of both sides.

    InjectionError or HeaderError for what does not fit, naming it and what would.
    """
    if not 0 < question.scale < float("inf"):
        raise InjectionError(f"--head-scale {question.scale} must be a positive number")
    pictures, unseen_names = _pictures(question)
    metadata = _metadata(question.head)
    names = _row_names(question, metadata, pictures)
    tensors, head = _read_head(question, names)
    unseen_C, notes = _unseen_mask(question, metadata, head.class_names, unseen_names)
    if pictures.features_ND.shape[1] != head.feature_size:
        raise features_error(
            f"{question.features}: the features have {pictures.features_ND.shape[1]} numbers a "
            f"picture; the head {tensors.weight!r} takes {head.feature_size}"
        )
    labels_N = pictures.rows_in(head.class_names)
    seen = _side("seen", head, labels_N, ~unseen_C)
    unseen = _side("unseen", head, labels_N, unseen_C)
    scores = evaluate(head, pictures.features_ND, labels_N, unseen_C)
    return Answer(scores, seen, unseen, tensors, notes)


def _pictures(question: Question) -> tuple[Labelled, tuple[str, ...] | None]:
    """Read the pictures to score, and the unseen classes where the file settles them."""
    if question.features.suffix == ".mat":
        return _benchmark(question)
    if question.splits is not None:
        raise features_error(
            f"--splits {question.splits} goes with the .mat features of the same benchmark, "
            f"not with {question.features}"
        )
    if question.unseen is not None and question.seen_count is not None:
        raise features_error("--unseen and --seen-count say the same: give one of them")
    label_names = _listed(question.label_names)
    return labelled_files.read(question.features, label_names), _listed(question.unseen)


def _listed(path: Path | None) -> tuple[str, ...] | None:
    return None if path is None else labelled_files.read_names(path)


def _benchmark(question: Question) -> tuple[Labelled, tuple[str, ...]]:
    for option, value in (
        ("--unseen", question.unseen),
        ("--seen-count", question.seen_count),
        ("--label-names", question.label_names),
    ):
        if value is not None:
            raise features_error(f"{option} {value} does not go with .mat: its splits say it")
    path = question.splits or question.features.with_name(xlsa17.SPLITS_FILE)
    splits = xlsa17.read_splits(path)
    every = xlsa17.read_pictures(question.features, splits)
    chosen = torch.cat([splits.test_seen, splits.test_unseen])
    pictures = Labelled(every.features_ND[chosen], every.labels_N[chosen], every.class_names)
    return pictures, splits.unseen_names(every)


def _metadata(path: Path) -> dict[str, str]:
    try:
        with safe_open(path, framework="pt") as file:
            return file.metadata() or {}
    except SafetensorError as error:
        raise InjectionError(f"{path} is not a readable safetensors file: {error}") from error


def _row_names(question: Question, metadata: dict[str, str], pictures: Labelled) -> tuple[str, ...]:
    if question.names is not None:
        return labelled_files.read_names(question.names)
    names = labelled_files.names_in(metadata, question.head) or pictures.class_names
    if names is None:
        raise InjectionError(
            f"{question.head} does not say which classes its rows are: list them with --names FILE"
        )
    return names


def _read_head(question: Question, names: Sequence[str]) -> tuple[header.HeadTensors, Head]:
    with question.head.open("rb") as file:
        length = header.header_length(file.read(header.LENGTH_BYTES))
        found = header.parse_header(file.read(length))
    tensors = header.find_head(
        found, class_count=len(names), weight=question.weight, bias=question.bias
    )
    head = checkpoint.read_head(
        question.head,
        weight=tensors.weight,
        bias=tensors.bias,
        class_names=names,
        metric=question.metric,
        scale=question.scale,
    )
    return tensors, head


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


def _side(which: str, head: Head, labels_N: Tensor, chosen_C: Tensor) -> Side:
    counts_C = torch.bincount(labels_N, minlength=head.class_count)
    empty = (chosen_C & (counts_C == 0)).nonzero().flatten().tolist()
    classes, pictures = int(chosen_C.sum()), int(counts_C[chosen_C].sum())
    if not pictures:
        raise features_error(f"none of the {classes} {which} classes has a picture")
    return Side(classes, pictures, tuple(head.class_names[row] for row in empty))
