"""Task: the problem a method solves."""

import dataclasses

import pytest
import torch

from headgraft.models.embeddings.normalise import prepare
from headgraft.models.errors import InjectionError
from headgraft.models.task import Task
from tests.models.builders import make_task


def changed(**values: object) -> Task:
    return dataclasses.replace(make_task(), **values)  # type: ignore[arg-type] # by name


def test_a_whole_task_should_be_accepted() -> None:
    assert make_task().unseen_class_names == ("new 0", "new 1", "new 2", "new 3")


@pytest.mark.parametrize(
    ("names", "message", "pointer"),
    [
        ((), "at least one", "/add"),
        (("new", "class 3", "x", "y"), "already has a class 'class 3'", "/add/1/name"),
        (("new", "x", "new", "y"), "'new' is to be added 2 times", "/add/0/name"),
    ],
)
def test_names_that_collide_should_be_refused(
    names: tuple[str, ...], message: str, pointer: str
) -> None:
    with pytest.raises(InjectionError, match=message) as caught:
        changed(unseen_class_names=names)

    assert caught.value.pointer == pointer


def test_a_vector_count_that_differs_from_the_class_count_should_be_refused() -> None:
    with pytest.raises(InjectionError, match="3 unseen class embeddings for 4 classes"):
        changed(unseen_class_embeddings_UA=torch.ones(3, 5))


def test_seen_and_unseen_vectors_of_unlike_size_should_be_refused() -> None:
    with pytest.raises(InjectionError, match="have 6 numbers; the seen ones have 5"):
        changed(unseen_class_embeddings_UA=torch.ones(4, 6))


@pytest.mark.parametrize("shape", [(4,), (4, 0)])
def test_vectors_that_are_no_matrix_should_be_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InjectionError, match=r"must be \(classes, numbers\)"):
        changed(unseen_class_embeddings_UA=torch.ones(shape))


@pytest.mark.parametrize(
    ("value", "message"), [(0.0, "is all zero"), (torch.nan, "NaN"), (torch.inf, "infinity")]
)
def test_a_vector_that_says_nothing_should_be_refused_with_its_class(
    value: float, message: str
) -> None:
    embeddings_SA = make_task().class_embeddings_SA.clone()
    embeddings_SA[7] = value

    with pytest.raises(InjectionError, match=f"'class 7' .*{message}") as caught:
        changed(class_embeddings_SA=embeddings_SA)

    assert caught.value.pointer == "/class_embeddings/seen/7"


def test_embeddings_should_be_normalised_in_the_type_asked_for() -> None:
    task = make_task()

    seen_SA, unseen_UA = task.normalised_embeddings("cpu", torch.float64, centre=True)

    expected = prepare(
        task.class_embeddings_SA.double(), task.unseen_class_embeddings_UA.double(), centre=True
    )
    assert torch.equal(seen_SA, expected[0])
    assert torch.equal(unseen_UA, expected[1])
