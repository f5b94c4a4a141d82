"""The offset of new classes, chosen on hidden seen ones."""

import dataclasses

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from headgraft.models.heads.head import Head
from headgraft.models.heads.semantic import SemanticHead
from headgraft.models.methods.conse.offset import choose_offset
from headgraft.models.metrics import Gzsl, evaluate
from tests.models.builders import make_head


def related(classes: int = 60, unseen: int = 10) -> tuple[SemanticHead, Tensor]:
    """Return a head without offset, and the true rows of its unseen classes."""
    generator = torch.Generator().manual_seed(0)
    embeddings_CA = normalize(torch.randn(classes, 8, generator=generator))
    rows_CD = 6 * embeddings_CA @ torch.randn(8, 20, generator=generator) / 8**0.5
    names = tuple(str(number) for number in range(classes))
    seen = classes - unseen
    return SemanticHead(Head(rows_CD[:seen], None, names[:seen]), embeddings_CA, names), rows_CD


def real_accuracy(head: SemanticHead, rows_CD: Tensor, offset: float) -> Gzsl:
    generator = torch.Generator().manual_seed(1)
    labels_N = torch.arange(len(rows_CD)).repeat(20)
    features_ND = 0.4 * rows_CD[labels_N] + 1.2 * torch.randn(
        len(labels_N), rows_CD.shape[1], generator=generator
    )
    unseen_C = torch.arange(len(rows_CD)) >= head.seen.class_count
    moved = dataclasses.replace(head, unseen_offset=offset)
    return evaluate(moved, features_ND, labels_N, unseen_C)


def test_a_chosen_offset_should_balance_old_and_new_better_than_none() -> None:
    head, rows_CD = related()

    offset = choose_offset(head.seen, head.class_embeddings_CA[:50], 10, 1.0)

    assert offset > 0
    assert real_accuracy(head, rows_CD, offset).H > real_accuracy(head, rows_CD, 0.0).H + 0.1


def test_it_should_be_the_same_twice_and_draw_nothing_process_wide() -> None:
    head, before = related()[0], torch.get_rng_state()

    offsets = [choose_offset(head.seen, head.class_embeddings_CA[:50], 10, 1.0) for _ in range(2)]

    assert offsets[0] == offsets[1]
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("seen", [2, 4])
def test_too_few_seen_classes_should_get_no_offset(seen: int) -> None:
    head = make_head(classes=seen)

    assert choose_offset(head, torch.eye(seen), 3, 1.0) == 0


@pytest.mark.parametrize("unseen", [1, 500])
def test_any_number_of_new_classes_should_do(unseen: int) -> None:
    head = make_head(metric="cosine", bias=False)

    assert -2 <= choose_offset(head, normalize(torch.eye(12)), unseen, 1.0) <= 2
