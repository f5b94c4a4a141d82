"""metrics: accuracy of a head, worked out by hand."""

import pytest
import torch

from headgraft.models.heads.head import Head
from headgraft.models.metrics import Leads, evaluate, harmonic_mean, weighted_mean


def identity_head() -> Head:
    """Logits are the features themselves: a picture says what it scores."""
    return Head(torch.eye(4), None, ("a", "b", "x", "y"))


UNSEEN_C = torch.tensor([False, False, True, True])
PICTURES = torch.tensor(
    [
        [9.0, 0, 0, 0],  # a: right
        [9.0, 0, 0, 0],  # a: right
        [0.0, 5, 9, 0],  # a: seen b, and unseen x above it
        [0.0, 9, 0, 0],  # b: right
        [9.0, 0, 5, 0],  # x: right among unseen only
        [0.0, 0, 9, 0],  # x: right
        [0.0, 0, 9, 5],  # y: wrong
    ]
)
LABELS = torch.tensor([0, 0, 0, 1, 2, 2, 3])


def test_accuracies_should_be_means_over_classes() -> None:
    scores = evaluate(identity_head(), PICTURES, LABELS, UNSEEN_C)

    assert pytest.approx(0.5) == scores.T1  # x 2/2, y 0/1
    assert scores.u == pytest.approx(0.25)  # x 1/2, y 0/1
    assert scores.s == pytest.approx((2 / 3 + 1) / 2)
    assert pytest.approx(2 * scores.u * scores.s / (scores.u + scores.s)) == scores.H


def test_base_to_new_should_count_pictures() -> None:
    scores = evaluate(identity_head(), PICTURES, LABELS, UNSEEN_C)

    assert scores.base == pytest.approx(3 / 4)
    assert scores.new == pytest.approx(2 / 3)
    assert scores.base_to_new == pytest.approx(harmonic_mean(3 / 4, 2 / 3))


def test_a_class_without_pictures_should_not_count() -> None:
    chosen_N = LABELS != 3

    scores = evaluate(identity_head(), PICTURES[chosen_N], LABELS[chosen_N], UNSEEN_C)

    assert pytest.approx(1.0) == scores.T1


def test_nothing_right_should_be_a_harmonic_mean_of_zero() -> None:
    assert harmonic_mean(0.0, 0.0) == 0.0


def test_pictures_of_one_side_only_should_be_refused() -> None:
    with pytest.raises(ValueError, match="both seen and unseen"):
        evaluate(identity_head(), PICTURES[:4], LABELS[:4], UNSEEN_C)


def test_the_weighted_mean_should_follow_its_weight() -> None:
    u, s = torch.tensor(0.2), torch.tensor(0.8)

    assert float(weighted_mean(u, s, 1.0)) == pytest.approx(0.32)
    assert float(weighted_mean(u, s, 100.0)) == pytest.approx(0.2, abs=0.01)
    assert float(weighted_mean(u, s, 0.01)) == pytest.approx(0.8, abs=0.03)


def test_an_offset_should_turn_seen_predictions_into_unseen_ones() -> None:
    labels_N = torch.tensor([0, 0, 0, 1, 2, 2, 3])

    leads = Leads.of(PICTURES, labels_N, UNSEEN_C)
    offsets_T, u_T, s_T = leads.by_offset()

    assert leads.lead_N.tolist() == [9, 9, -4, 9, 4, -9, -9]
    assert leads.right_N.tolist() == [True, True, False, True, True, True, False]
    assert leads.unseen_N.tolist() == [False] * 4 + [True] * 3
    assert (float(offsets_T[0]), float(offsets_T[-1])) == (-9, 9)
    assert (float(u_T[0]), float(s_T[0])) == (0, 0.75)
    assert float(u_T[-1]) == pytest.approx(2 / 3)
