"""What labelled features promise, and which are refused."""

import pytest
import torch

from headgraft.models.errors import InjectionError
from headgraft.models.features.labelled import (
    CLASSES_MIN,
    PICTURES_MIN,
    CalibrationFeatures,
    calibration_features,
    class_weights,
)
from headgraft.models.heads.head import Head
from tests.models.builders import make_head


def pictured(head: Head, each: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    """Return features that are the rows themselves, and their labels."""
    labels_N = torch.arange(head.class_count).repeat_interleave(each)
    return head.weight[labels_N], labels_N


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_features_of_any_width_should_become_single_precision(dtype: torch.dtype) -> None:
    head = make_head(bias=False, metric="cosine")
    features_ND, labels_N = pictured(head)

    seen = calibration_features(head, features_ND.to(dtype), labels_N.int())

    assert seen.features_NF.dtype == torch.float32
    assert seen.labels_N.dtype == torch.int64
    assert seen.head_accuracy == 1


def test_the_products_of_a_cosine_head_should_be_its_logits() -> None:
    head = make_head(bias=False, metric="cosine")
    features_ND, labels_N = pictured(head)

    seen = calibration_features(head, 7 * features_ND, labels_N)

    unit_CD = torch.nn.functional.normalize(head.weight)
    torch.testing.assert_close(seen.scores(unit_CD), head.logits(features_ND))


def test_the_heads_accuracy_should_be_a_mean_over_classes() -> None:
    head = Head(torch.eye(2), None, ("a", "b"))
    features_ND = torch.tensor([[1.0, 0], [1, 0], [1, 0], [1, 0]])

    seen = calibration_features(head, features_ND, torch.tensor([0, 0, 0, 1]))

    assert seen.head_accuracy == pytest.approx(0.5)


def test_every_class_should_weigh_alike() -> None:
    weight_N = class_weights(torch.tensor([0, 0, 2, 2, 2, 2]))

    assert weight_N.tolist() == [0.5, 0.5, 0.25, 0.25, 0.25, 0.25]


def test_they_should_suffice_from_a_number_of_classes_and_of_pictures() -> None:
    def of(classes: int, each: int) -> CalibrationFeatures:
        labels_N = torch.arange(classes).repeat_interleave(each)
        return CalibrationFeatures(torch.zeros(len(labels_N), 2), labels_N, 1.0)

    known_S = torch.ones(CLASSES_MIN + 10, dtype=torch.bool)
    many = PICTURES_MIN // CLASSES_MIN + 1

    assert of(CLASSES_MIN, many).suffice(known_S)
    assert not of(CLASSES_MIN - 1, 100 * many).suffice(known_S)
    assert not of(CLASSES_MIN, 1).suffice(known_S)
    assert not of(CLASSES_MIN, many).suffice(known_S & (torch.arange(len(known_S)) > 0))


@pytest.mark.parametrize(
    ("features", "labels", "complaint"),
    [
        (torch.ones(2, 5), [0, 1], r"\(2, 5\); this head reads 6 numbers"),
        (torch.ones(2), [0, 1], r"\(2,\); this head reads 6 numbers"),
        (torch.ones(2, 6), [0], "one for each of the 2 pictures"),
        (torch.ones(0, 6), [], "at least one"),
        (torch.ones(2, 6), [0, 12], "label 12; with 12 classes, labels are 0 to 11"),
        (torch.ones(2, 6), [-1, 3], "label -1; with 12"),
        (torch.full((2, 6), torch.nan), [0, 1], "NaN or infinity"),
    ],
)
def test_features_that_do_not_fit_should_be_refused_with_both_numbers(
    features: torch.Tensor, labels: list[int], complaint: str
) -> None:
    with pytest.raises(InjectionError, match=complaint) as caught:
        calibration_features(make_head(), features, torch.tensor(labels, dtype=torch.long))

    assert caught.value.code == "invalid_features"
    assert caught.value.pointer == "/features_id"
