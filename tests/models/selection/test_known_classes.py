"""Which classes mean nothing, and which heads nothing can be read off."""

from dataclasses import replace

import torch
from torch.nn.functional import normalize

from headgraft.models.heads.head import Head
from headgraft.models.selection.calibrate import build_context
from headgraft.models.selection.known_classes import (
    AT_CHANCE,
    are_related,
    familiarity,
    looks_untrained,
)
from headgraft.models.selection.leave_out import HeldOutPrediction
from headgraft.models.task import Task
from tests.models.builders import make_head
from tests.models.selection.test_solve import secret_task

WORDS, SIZE = 30, 16


def task_with_random_words(classes: int = 200, unseen: int = 10) -> Task:
    """Make a task whose last unseen class is embedded as random words are: about one vector."""
    generator = torch.Generator().manual_seed(0)
    common_A = 2 * normalize(torch.randn(SIZE, generator=generator), dim=0)
    embeddings_CA = normalize(torch.randn(classes, SIZE, generator=generator))
    words_NA = common_A + normalize(torch.randn(WORDS + 1, SIZE, generator=generator))
    names = tuple(f"new {number}" for number in range(unseen))
    unseen_UA = torch.cat([embeddings_CA[-unseen + 1 :], words_NA[-1:]])
    head = make_head(classes - unseen + 1)
    task = Task(head, embeddings_CA[: head.class_count], unseen_UA, names)
    return replace(task, meaningless_embeddings_NA=words_NA[:-1])


def test_a_class_embedded_like_random_words_should_be_at_chance_and_no_other() -> None:
    known_U = familiarity(task_with_random_words()).known_U

    assert (known_U[:-1] > 0.8).all()
    assert known_U[-1] < 0.1


def test_without_random_words_a_class_far_from_all_others_should_be_at_chance() -> None:
    # Embeddings in a few directions of many: shuffled ones lie outside.
    generator = torch.Generator().manual_seed(0)
    causes = torch.randn(60, 4, generator=generator) @ torch.randn(4, 64, generator=generator)
    far = torch.randn(1, 64, generator=generator)
    task = Task(
        make_head(50), causes[:50], torch.cat([causes[50:], 20 * far]), tuple("abcdefghijk")
    )

    known_U = familiarity(task).known_U

    assert (known_U[:-1] > AT_CHANCE).all()
    assert known_U[-1] < AT_CHANCE


def test_few_seen_classes_should_leave_every_class_known() -> None:
    assert (familiarity(task_with_random_words(classes=25)).known_U == 1).all()


def held_out(rows_SK: torch.Tensor, fold_S: torch.Tensor | None = None) -> HeldOutPrediction:
    count = len(rows_SK)
    fold_S = torch.arange(count) % 5 if fold_S is None else fold_S
    return HeldOutPrediction(rows_SK, torch.ones(count, dtype=torch.bool), fold_S, 1)


def test_predictions_of_other_rows_should_be_no_relation() -> None:
    context = build_context(secret_task().head, None)
    generator = torch.Generator().manual_seed(0)
    rows_SK = context.rows_SK

    near_SK = rows_SK + 0.3 * torch.randn(rows_SK.shape, generator=generator)

    assert are_related(context, held_out(near_SK))
    assert not are_related(context, held_out(near_SK[torch.randperm(len(rows_SK))]))


def test_too_few_hidden_classes_should_not_be_called_unrelated() -> None:
    context = build_context(make_head(12), None)

    assert are_related(context, held_out(context.rows_SK.flip(0)))


def test_independent_random_rows_should_look_untrained_and_rows_of_causes_should_not() -> None:
    generator = torch.Generator().manual_seed(0)
    random_SD = torch.rand(300, 100, generator=generator) - 0.5
    names = tuple(f"class {number}" for number in range(300))
    causes = torch.randn(300, 10, generator=generator) @ torch.randn(10, 100, generator=generator)

    assert looks_untrained(build_context(Head(random_SD, None, names), None))
    assert not looks_untrained(build_context(Head(random_SD + 0.1 * causes, None, names), None))
