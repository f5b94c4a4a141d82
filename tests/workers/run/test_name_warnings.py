"""Warnings of names that cannot be right for the rows they stand beside."""

import torch

from headgraft.models.heads.head import Head
from headgraft.models.task import Task
from headgraft.workers.jobs.spec import JobSpec
from headgraft.workers.run.name_warnings import name_warnings, order_agreement
from tests import checkpoints


def related(count: int = 40, numbers: int = 12) -> tuple[torch.Tensor, torch.Tensor]:
    """Return rows and embeddings of which like ones go together, but for noise."""
    generator = torch.Generator().manual_seed(3)
    hidden = torch.randn(count, 6, generator=generator)
    parts = [hidden @ torch.randn(6, numbers, generator=generator) for _ in range(2)]
    rows, embeddings = (part + torch.randn(part.shape, generator=generator) for part in parts)
    return rows, embeddings


def warnings(rows: torch.Tensor, embeddings: torch.Tensor, names: list[str]) -> list[str]:
    head = Head(rows, None, tuple(names))
    task = Task(head, embeddings, torch.ones(1, embeddings.shape[1]), ("okapi",))
    stored = {
        "path": "p", "sha256": "", "bytes": 1, "tensors": None, "metric": "linear", "scale": 1.0,
        "class_names": names,
    }  # fmt: skip
    about = {"add": ["okapi"], "method": "auto", "settings": {}, "timeout_seconds": 1}
    spec = {"head": stored, "class_embeddings": {"kind": "names"}, **about}
    return name_warnings(JobSpec.model_validate(spec), task)


NAMES = [f"animal of kind {number}" for number in range(40)]


def test_names_in_the_order_of_the_rows_should_agree_with_them() -> None:
    rows, embeddings = related()
    agreement = order_agreement(rows, embeddings)
    assert agreement is not None
    assert agreement > 5
    assert warnings(rows, embeddings, NAMES) == []


def test_names_in_another_order_should_be_asked_about() -> None:
    rows, embeddings = related()
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(1))
    [warning] = warnings(rows, embeddings[order], NAMES)
    assert "are the names in the order of the rows?" in warning


def test_few_classes_should_not_be_judged() -> None:
    rows, embeddings = related(count=19)
    assert order_agreement(rows, embeddings.flip(0)) is None


def test_names_that_an_encoder_reads_alike_should_be_told() -> None:
    rows, embeddings = related()
    embeddings[7] = embeddings[3]
    [warning] = warnings(rows, embeddings, NAMES)
    assert "cannot tell 'animal of kind 3' from 'animal of kind 7'" in warning
    same = list(NAMES)
    same[7] = same[3]
    assert warnings(rows, embeddings, same) == []


def test_names_that_say_nothing_should_be_told() -> None:
    rows, embeddings = related()
    [warning] = warnings(rows, embeddings, checkpoints.class_names(40))
    assert "40 of the 41 class names say nothing" in warning
