"""The family's benchmark: which classes and pictures it keeps, and how it writes figures."""

import pytest
import torch

from headgraft.models.heads.head import Head
from headgraft.models.metrics import Gzsl
from tests.benchmarks.data import Lite0
from tests.benchmarks.family import cell, fewer, score_kept
from tests.benchmarks.lite0 import make_task

pytestmark = pytest.mark.soak

CLASSES = 8


def perfect() -> Lite0:
    """Make a head that recognises each class by a feature of its own, one picture a class."""
    return Lite0(
        weight_CD=torch.eye(CLASSES),
        bias_C=torch.zeros(CLASSES),
        class_names=tuple("abcdefgh"),
        features_ND=torch.eye(CLASSES),
        labels_N=torch.arange(CLASSES),
        folds=(torch.arange(CLASSES) < 2,),
    )


def test_fewer_seen_classes_should_be_drawn_by_the_seed() -> None:
    task = make_task(perfect(), perfect().folds[0], torch.randn(CLASSES, 4))

    drawn = [fewer(task, 3, seed).head.class_names for seed in range(8)]

    assert {len(names) for names in drawn} == {3}
    assert len(set(drawn)) > 1
    assert fewer(task, 0, 0) is task


def test_pictures_of_classes_that_were_dropped_should_not_count() -> None:
    data = perfect()
    task = fewer(make_task(data, data.folds[0], torch.randn(CLASSES, 4)), 3, 0)
    unseen = task.head.with_rows(torch.eye(CLASSES, CLASSES + 1)[:2], task.unseen_class_names)

    found = score_kept(data, data.folds[0], task.head, unseen)

    assert (found.T1, found.u, found.s) == (1.0, 1.0, 1.0)


def test_a_wrong_row_should_cost_its_class() -> None:
    data = perfect()
    task = make_task(data, data.folds[0], torch.randn(CLASSES, 4))
    unseen = Head(torch.eye(CLASSES)[[1, 1]], torch.zeros(2), task.unseen_class_names)

    assert score_kept(data, data.folds[0], task.head, unseen).T1 == 0.5


def test_a_cell_should_show_mean_and_spread_in_per_cent() -> None:
    scores = [Gzsl(T1=t, u=0, s=0, H=0, base=0, new=0, base_to_new=0) for t in (0.5, 0.6)]

    assert cell(scores, "T1") == "55.0 ± 7.1"
    assert cell(scores[:1], "T1") == "50.0"
    assert cell([], "T1") == ""
