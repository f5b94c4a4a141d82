"""ConSE: what its head says of features whose seen probabilities are known."""

import dataclasses
import math

import pytest
import torch
from torch.nn.functional import normalize

from headgraft.models.heads.head import Head
from headgraft.models.heads.semantic import SemanticHead
from headgraft.models.methods.conse.method import ConseSettings, synthesize
from headgraft.models.metrics import evaluate
from headgraft.models.progress import Progress
from headgraft.models.task import Task
from tests.models.builders import make_head, make_task


def run(task: Task, **settings: object) -> SemanticHead:
    parsed = ConseSettings.model_validate(settings)
    return synthesize(task, parsed, device="cpu", progress=Progress())


def certain_task() -> Task:
    """Make a head that is sure of each unit feature."""
    head = Head(1000 * torch.eye(4), None, ("a", "b", "c", "d"))
    seen_SA = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [-1, 0, 0]])
    return Task(head, seen_SA, torch.tensor([[0.6, 0.8, 0], [0, 0, 2.0]]), ("near b", "as c"))


def test_one_hot_probabilities_should_give_cosines_of_class_embeddings() -> None:
    logits_NC = run(certain_task(), centre=False, unseen_offset=0).logits(torch.eye(4))

    torch.testing.assert_close(logits_NC[1], torch.tensor([0.0, 1, 0, 0, 0.8, 0]))
    torch.testing.assert_close(logits_NC[2], torch.tensor([0.0, 0, 1, 0, 0, 1]))


def test_even_probabilities_should_give_the_mean_of_the_seen_embeddings() -> None:
    head = run(certain_task(), centre=False, unseen_offset=0)

    meaning_A = normalize(torch.tensor([0.0, 1, 1]), dim=0)
    expected_C = head.class_embeddings_CA @ meaning_A
    torch.testing.assert_close(head.logits(torch.zeros(1, 4))[0], expected_C)


def test_a_temperature_should_flatten_the_probabilities() -> None:
    features_ND = torch.tensor([[2.0, 0, 0, 0]])
    task = Task(Head(torch.eye(4)[:2], None, ("a", "b")), torch.eye(2), torch.ones(1, 2), ("ab",))

    logits_C = run(task, centre=False, unseen_offset=0, temperature=2).logits(features_ND)[0]

    chance = math.e / (1 + math.e)
    assert logits_C[0] / logits_C[1] == pytest.approx(chance / (1 - chance), rel=1e-5)


def test_an_offset_should_lift_new_classes_alone() -> None:
    task, features_ND = make_task(), torch.randn(7, 6, generator=torch.Generator().manual_seed(1))

    plain, lifted = (run(task, unseen_offset=offset) for offset in (0.0, 0.25))

    risen_NC = lifted.logits(features_ND) - plain.logits(features_ND)
    torch.testing.assert_close(risen_NC[:, :12], torch.zeros(7, 12))
    torch.testing.assert_close(risen_NC[:, 12:], torch.full((7, 4), 0.25))


def test_the_seen_head_should_stay_bit_for_bit() -> None:
    task = make_task(make_head(dtype=torch.float16))

    assert torch.equal(run(task).seen.rows, task.head.rows)
    assert run(task).seen.weight.dtype == torch.float16


def test_a_class_should_be_scored_alike_whatever_else_is_injected() -> None:
    task, features_ND = make_task(), torch.randn(7, 6, generator=torch.Generator().manual_seed(1))
    alone = dataclasses.replace(
        task,
        unseen_class_embeddings_UA=task.unseen_class_embeddings_UA[2:3],
        unseen_class_names=task.unseen_class_names[2:3],
    )

    both = [run(one, unseen_offset=0).logits(features_ND) for one in (alone, task)]

    torch.testing.assert_close(both[0][:, 12], both[1][:, 14])


def test_its_accuracy_should_be_measured_like_any_heads() -> None:
    head = run(certain_task(), centre=False, unseen_offset=0.5)
    features_ND = torch.cat([torch.eye(4), torch.tensor([[0.1, 0.1003, 0, 0]])])
    labels_N, unseen_C = torch.tensor([0, 1, 5, 3, 4]), torch.arange(6) >= 4

    found = evaluate(head, features_ND, labels_N, unseen_C)

    assert found.T1 == 1
    assert found.u == 1
