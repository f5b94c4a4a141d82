"""What old classes lose to new rows."""

import torch

from headgraft.models.features.labelled import CalibrationFeatures
from headgraft.models.heads.head import Head
from headgraft.models.selection.calibrate import HeadContext, build_context
from headgraft.models.selection.old_classes import OldScores, scale_within, worst_losses

CLASSES, EACH = 20, 5
NAMES = tuple(f"old {number}" for number in range(CLASSES))


def context(features: bool = True) -> HeadContext:
    """Return a head of unit rows, with features about them that it recognises."""
    head = Head(torch.eye(CLASSES), torch.zeros(CLASSES), NAMES)
    labels_N = torch.arange(CLASSES).repeat_interleave(EACH)
    noise_ND = 0.1 * torch.randn(
        CLASSES * EACH, CLASSES, generator=torch.Generator().manual_seed(0)
    )
    real = CalibrationFeatures(torch.eye(CLASSES)[labels_N] + noise_ND, labels_N, 1.0)
    return build_context(head, None, real if features else None)


def thief(length: float, of: int = 3) -> Head:
    """Return two new rows: one along an old class's, one that takes nothing."""
    rows = torch.stack([length * torch.eye(CLASSES)[of], -torch.ones(CLASSES)])
    return Head(rows, torch.zeros(2), ("thief", "harmless"))


def scores(features: bool = True) -> OldScores:
    return OldScores.of(context(features), torch.ones(CLASSES, dtype=torch.bool))


def test_the_class_that_loses_all_its_pictures_should_be_named_with_who_takes_them() -> None:
    old = scores()

    [worst, *others] = worst_losses(old, context().head, thief(2.0))

    assert (worst.name, worst.to) == ("old 3", "thief")
    assert worst.loss > 0.9
    assert all(one.loss < 0.05 for one in others)
    assert old.loss(thief(2.0)) == torch.tensor(1 / CLASSES)


def test_a_row_that_takes_nothing_should_put_no_class_at_risk() -> None:
    assert scores().loss(thief(0.1)) == 0
    assert worst_losses(scores(), context().head, thief(0.1)) == ()


def test_losses_of_all_classes_should_add_up_to_the_loss_of_accuracy() -> None:
    old, new = scores(), thief(1.0)
    loss_S, _ = old.class_losses(new)

    assert abs(float(loss_S.mean()) - old.loss(new)) < 1e-6


def test_without_features_simulated_ones_should_tell_the_same() -> None:
    worst = worst_losses(scores(features=False), context().head, thief(3.0))[0]

    assert (worst.name, worst.to) == ("old 3", "thief")


def test_rows_should_be_shortened_until_they_cost_next_to_nothing() -> None:
    old = scores()

    scale = scale_within(old, thief, 3.0, 0.005)

    assert old.loss(thief(3.0)) > 0.005 >= old.loss(thief(scale))
    assert 0.5 < scale < 1.1


def test_rows_that_cost_little_should_stay() -> None:
    assert scale_within(scores(), thief, 0.5, 0.005) == 0.5


def test_rows_that_cost_much_at_any_length_should_stand_where_they_cost_least() -> None:
    # As a cosine head's: shorter than 1 they turn towards class 3.
    assert scale_within(scores(), lambda scale: thief(2.0, of=3), 0.3, 0.005) == 0.3
