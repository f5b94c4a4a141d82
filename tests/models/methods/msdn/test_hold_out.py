"""What is held out of a training, and what is read off it."""

import threading

import pytest
import torch
from torch.nn.functional import normalize

from headgraft.models.methods.msdn.hold_out import (
    CHECKED_MAX,
    HoldOut,
    hold_out,
    train_with_hold_out,
)
from headgraft.models.methods.msdn.settings import MsdnSettings
from headgraft.models.progress import Progress, Stopped, ignore
from headgraft.models.task import Attributes
from tests.models.planted_regions import Plan, plant

LABELS = torch.arange(10).repeat_interleave(8)


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(4)


def held(labels_N: torch.Tensor = LABELS, unseen: int = 9, share: float = 0.25) -> HoldOut:
    found = hold_out(labels_N, 10, unseen, share, seeded())
    assert found is not None
    return found


def test_it_should_hide_classes_and_keep_pictures_of_the_others() -> None:
    found = held()

    assert int(found.hidden_S.sum()) == 2
    assert not found.hidden_S[LABELS[found.learned_M]].any()
    counts_S = LABELS[found.checked_M].bincount(minlength=10)
    assert counts_S[found.hidden_S].tolist() == [8, 8]
    assert counts_S[~found.hidden_S].tolist() == [2] * 8
    assert not set(found.learned_M.tolist()) & set(found.checked_M.tolist())


def test_it_should_hide_no_more_classes_than_are_added_but_two_at_least() -> None:
    assert int(held(unseen=3, share=0.5).hidden_S.sum()) == 3
    assert int(held(unseen=1, share=0.5).hidden_S.sum()) == 2


def test_a_class_should_keep_a_picture_to_learn_from() -> None:
    found = held(torch.arange(10).repeat_interleave(2), share=0.5)

    learned_S = torch.arange(10).repeat_interleave(2)[found.learned_M].bincount(minlength=10)
    assert (learned_S[~found.hidden_S] == 1).all()


def test_it_should_look_at_no_more_pictures_than_it_has_time_for() -> None:
    found = held(torch.arange(10).repeat_interleave(1000))

    assert len(found.checked_M) == CHECKED_MAX


@pytest.mark.parametrize("labels_N", [torch.arange(4).repeat_interleave(9), torch.arange(10)])
def test_too_few_classes_or_pictures_should_leave_nothing_to_hold_out(
    labels_N: torch.Tensor,
) -> None:
    assert hold_out(labels_N, 10, 3, 0.2, seeded()) is None


def test_a_hold_out_should_find_constants_under_which_both_sides_are_recognised() -> None:
    task = plant(Plan(seen=20, unseen=5, each=10, side=4, trace=0.2, noise=0.3), 0).task
    regions, attributes = task.regions, task.attributes
    assert regions is not None
    assert isinstance(attributes, Attributes)
    found_out = hold_out(regions.labels_N, 20, 5, 0.2, seeded())
    assert found_out is not None

    found = train_with_hold_out(
        found_out, regions, attributes.vectors_AV, normalize(task.class_embeddings_SA),
        MsdnSettings(epochs=40), ignore, seeded(),
    )  # fmt: skip

    assert 0 < found.epochs < 40
    assert 0 <= found.alpha <= 1
    assert found.accuracy["H"] > 0.6
    assert found.accuracy["u"] <= found.accuracy["T1"]


def test_it_should_stop_between_two_blocks_of_pictures_that_are_checked() -> None:
    task = plant(Plan(seen=20, unseen=5, each=10, side=2, places=1, shown=2), 0).task
    assert task.regions is not None
    assert task.attributes is not None
    found_out = hold_out(task.regions.labels_N, 20, 5, 0.2, seeded())
    assert found_out is not None
    should_stop, stages = threading.Event(), []

    def note(_fraction: float, stage: str, _loss: float | None) -> None:
        stages.append(stage)
        if stage == "check":
            should_stop.set()

    with pytest.raises(Stopped):
        train_with_hold_out(
            found_out, task.regions, task.attributes.vectors_AV,
            normalize(task.class_embeddings_SA), MsdnSettings(epochs=2),
            Progress(note, should_stop), seeded(),
        )  # fmt: skip
    assert stages.count("check") == 1
