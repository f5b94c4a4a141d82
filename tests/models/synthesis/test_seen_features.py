"""Features to train on: pictures where they show every class, virtual ones else."""

from dataclasses import replace

import torch

from headgraft.models.features.labelled import CalibrationFeatures, LabelledFeatures
from headgraft.models.progress import ignore
from headgraft.models.selection.leave_out import hide
from headgraft.models.synthesis.virtual_features import (
    VirtualFeaturesConfig,
    query_directions,
    training_features,
)
from headgraft.models.task import Task
from tests.models.builders import make_head, make_task


def shown(classes: int = 12) -> CalibrationFeatures:
    features_ND = torch.randn(24, 6, generator=torch.Generator().manual_seed(2)) + 1
    return CalibrationFeatures(features_ND, torch.arange(24) % classes, 1.0)


def features(task: Task) -> LabelledFeatures:
    start_SD = query_directions(task.head)
    config = VirtualFeaturesConfig(steps=0, count=3, filter_by_head=False)
    return training_features(task, start_SD, config, ignore, torch.Generator().manual_seed(0))


def test_pictures_of_every_class_should_be_taken_at_unit_length() -> None:
    task = replace(make_task(make_head(12)), features=shown())

    found = features(task)

    assert torch.equal(found.labels_N, shown().labels_N)
    assert found.counts(12).tolist() == [2] * 12
    torch.testing.assert_close(found.features_NF.norm(dim=1), torch.ones(24))


def test_few_pictures_should_be_repeated_to_as_many_as_virtual_ones() -> None:
    task = replace(make_task(make_head(12)), features=shown())
    start_SD = query_directions(task.head)

    found = training_features(
        task,
        start_SD,
        VirtualFeaturesConfig(steps=0, count=7),
        ignore,
        torch.Generator().manual_seed(0),
    )

    assert found.counts(12).tolist() == [6] * 12
    assert torch.equal(found.features_NF[:24], found.features_NF[24:48])


def test_pictures_that_leave_a_class_out_should_not_be_mixed_with_virtual_ones() -> None:
    task = make_task(make_head(12))

    found = features(replace(task, features=shown(classes=11)))

    assert torch.equal(found.features_NF, features(task).features_NF)
    assert found.counts(12).tolist() == [3] * 12


def test_hiding_classes_should_hide_their_pictures() -> None:
    task = replace(make_task(make_head(12)), features=shown())
    hidden_S = torch.arange(12) % 3 == 0

    left = hide(task, hidden_S).features

    assert left is not None
    assert left.counts(8).tolist() == [2] * 8
    kept_N = ~hidden_S[shown().labels_N]
    assert torch.equal(left.features_NF, shown().features_NF[kept_N])
    assert left.labels_N[:8].tolist() == list(range(8))
