"""labelled: what is no set of labelled features is refused with the value and the legal ones."""

import pytest
import torch

from headgraft.models.errors import InjectionError
from headgraft.models.features.labelled import NamedFeatures

FEATURES_ND = torch.arange(12, dtype=torch.float32).reshape(4, 3)
LABELS_N = torch.tensor([0, 1, 2, 1])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("kind", [torch.uint8, torch.int32, torch.int64])
def test_any_floats_and_any_integers_should_do(dtype: torch.dtype, kind: torch.dtype) -> None:
    labelled = NamedFeatures(FEATURES_ND.to(dtype), LABELS_N.to(kind), ("a", "b", "c"))

    assert labelled.rows_in(("b", "x", "c", "a")).tolist() == [3, 0, 2, 0]


def test_labels_without_names_should_count_the_heads_rows() -> None:
    assert NamedFeatures(FEATURES_ND, LABELS_N).rows_in(("x", "y", "z")).tolist() == [0, 1, 2, 1]


def test_a_class_that_no_picture_shows_need_not_be_in_the_head() -> None:
    labelled = NamedFeatures(FEATURES_ND, torch.tensor([0, 0, 2, 2]), ("a", "b", "c"))

    assert labelled.rows_in(("c", "a")).tolist() == [1, 1, 0, 0]


@pytest.mark.parametrize(
    ("features", "labels", "complaint"),
    [
        (FEATURES_ND.to(torch.uint8), LABELS_N, r"features are uint8; legal are float16, bfloat16"),
        (FEATURES_ND.flatten(), LABELS_N, r"features have shape \(12,\); they must be"),
        (FEATURES_ND[:0], LABELS_N[:0], r"features have shape \(0, 3\)"),
        (FEATURES_ND, LABELS_N[:3], r"labels have shape \(3,\); there are 4 pictures"),
        (FEATURES_ND, LABELS_N[:, None], r"labels have shape \(4, 1\)"),
        (FEATURES_ND, LABELS_N.float(), "labels are float32; they must be integers"),
        (FEATURES_ND, LABELS_N > 1, "labels are bool; they must be integers"),
        (FEATURES_ND / FEATURES_ND, LABELS_N, r"features of 1 pictures hold NaN .* picture 0 "),
        (FEATURES_ND * 1e38, LABELS_N, r"features of 3 pictures hold .* picture 1 "),
    ],
)
def test_a_defect_should_be_named(
    features: torch.Tensor, labels: torch.Tensor, complaint: str
) -> None:
    with pytest.raises(InjectionError, match=complaint) as caught:
        NamedFeatures(features, labels)
    assert caught.value.code == "invalid_features"


@pytest.mark.parametrize(("label", "names"), [(3, ("a", "b", "c")), (-1, None), (3, None)])
def test_a_label_out_of_range_should_be_shown_with_the_range(
    label: int, names: tuple[str, ...] | None
) -> None:
    labels_N = torch.tensor([0, 1, label, 1])
    with pytest.raises(InjectionError, match=rf"picture 2 .* label {label}; .* are 0 to 2"):
        NamedFeatures(FEATURES_ND, labels_N, names).rows_in(("x", "y", "z"))


def test_a_class_that_the_head_lacks_should_be_named() -> None:
    labelled = NamedFeatures(FEATURES_ND, LABELS_N, ("a", "b", "c"))
    head = ("a", "c", *(f"other {number}" for number in range(9)))
    with pytest.raises(InjectionError, match=r"show the class 'b', .* 'a', 'c', .* and 3 more"):
        labelled.rows_in(head)


def test_a_name_that_stands_twice_should_be_refused() -> None:
    with pytest.raises(InjectionError, match="class 'a' stands more than once"):
        NamedFeatures(FEATURES_ND, LABELS_N, ("a", "b", "a"))
