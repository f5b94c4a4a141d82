"""An attribute head: its logits, its files, and classes that are added without training."""

import dataclasses
import itertools

import pytest
import torch
from torch.nn.functional import normalize

from headgraft.models.errors import InjectionError
from headgraft.models.heads.attribute import (
    CLASS_BLOCK,
    AttributeHead,
    from_state_dict,
    unit_attributes,
)
from headgraft.models.heads.attribute_attention import AttributeMaps, attribute_scores
from tests.models.builders import make_attribute_head, some_regions


@pytest.fixture
def head() -> AttributeHead:
    return make_attribute_head()


def test_logits_should_be_the_mixed_attribute_scores_times_class_attributes_and_offsets(
    head: AttributeHead,
) -> None:
    first_NA, second_NA = attribute_scores(some_regions(5), head.maps.stacked())
    mixed_NA = 0.25 * first_NA + 0.75 * second_NA
    expected_NC = mixed_NA @ head.class_attributes_CA.T
    expected_NC[:, :6] -= 2.0
    expected_NC[:, 6:] += 2.0

    torch.testing.assert_close(head.logits(some_regions(5)), expected_NC)


def test_regions_that_lie_in_a_grid_should_be_scored_alike(head: AttributeHead) -> None:
    features_NDR = some_regions(5)

    grid_NDHW = features_NDR.view(5, 6, 2, 2)

    assert torch.equal(head.logits(grid_NDHW), head.logits(features_NDR))


def test_many_pictures_should_be_scored_as_few_are(
    head: AttributeHead, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole_NC = head.logits(some_regions(9))
    monkeypatch.setattr("headgraft.models.heads.attribute.NUMBERS_MAX", 50)

    torch.testing.assert_close(head.logits(some_regions(9)), whole_NC)


def test_half_precision_features_should_be_scored_in_float32(head: AttributeHead) -> None:
    assert head.logits(some_regions(3).half()).dtype == torch.float32


@pytest.mark.parametrize(
    ("classes", "added", "pictures"),
    list(itertools.product([8, CLASS_BLOCK - 1, CLASS_BLOCK], [1, 2, 300], [1, 7, 64])),
)
def test_added_classes_should_leave_old_logits_bit_for_bit(
    classes: int, added: int, pictures: int
) -> None:
    head = make_attribute_head(classes=classes, attributes=85, features=64)
    rows_UA = torch.rand(added, 85, generator=torch.Generator().manual_seed(9))

    grown = head.with_classes([f"added {number}" for number in range(added)], rows_UA)

    features_NDR = some_regions(pictures, features=64, regions=49)
    old_NC, new_NC = head.logits(features_NDR), grown.logits(features_NDR)
    assert new_NC.shape == (pictures, classes + added)
    assert torch.equal(new_NC[:, :classes], old_NC)


def test_an_added_class_should_be_scored_as_if_it_had_been_there(head: AttributeHead) -> None:
    without = dataclasses.replace(
        head,
        class_names=head.class_names[:-1],
        class_attributes_CA=head.class_attributes_CA[:-1],
    )

    again = without.with_classes(head.class_names[-1:], 3 * head.class_attributes_CA[-1:])

    torch.testing.assert_close(again.logits(some_regions(4)), head.logits(some_regions(4)))
    assert again.class_names == head.class_names


BAD = {
    "a class of the head": (["class 0"], torch.ones(1, 5)),
    "the same name twice": (["new", "new"], torch.ones(2, 5)),
    "too many numbers": (["new"], torch.ones(1, 6)),
    "nothing": (["new"], torch.zeros(1, 5)),
    "no number": (["new"], torch.full((1, 5), float("nan"))),
}


@pytest.mark.parametrize("case", BAD)
def test_a_class_that_cannot_be_should_be_refused(head: AttributeHead, case: str) -> None:
    names, rows_UA = BAD[case]

    with pytest.raises(InjectionError, match=r"'class 0'|'new'|shape \(1, 6\)"):
        head.with_classes(names, rows_UA)


def test_negative_attributes_should_count_for_nothing_where_the_head_says_so(
    head: AttributeHead,
) -> None:
    zeroing = dataclasses.replace(head, zero_negatives=True)
    row_UA = torch.tensor([[1.0, -5, 2, 0, 0]])

    found_A = zeroing.with_classes(["new"], row_UA).class_attributes_CA[-1]

    torch.testing.assert_close(found_A, normalize(torch.tensor([1.0, 0, 2, 0, 0]), dim=0))
    with pytest.raises(InjectionError, match="class 'x' has no attribute above 0"):
        unit_attributes(-torch.ones(1, 5), ["x"], zero_negatives=True)


def test_tensors_and_metadata_should_make_the_same_head_again(head: AttributeHead) -> None:
    head = dataclasses.replace(head, attribute_names=tuple("abcde"), hold_out={"T1": 0.5})

    again = from_state_dict(head.state_dict(), head.metadata())

    assert torch.equal(again.logits(some_regions(5)), head.logits(some_regions(5)))
    for field in ("class_names", "seen_count", "attribute_names", "hold_out", "zero_negatives"):
        assert getattr(again, field) == getattr(head, field)


def test_tensors_of_another_kind_of_head_should_be_refused(head: AttributeHead) -> None:
    with pytest.raises(InjectionError, match="not 'attribute'"):
        from_state_dict(head.state_dict(), {"kind": "semantic"})


def test_attention_should_lie_where_an_attribute_is_found(head: AttributeHead) -> None:
    one_hot = torch.zeros(5, 6)
    one_hot[0, 0] = 100.0
    looking = dataclasses.replace(
        head, maps=dataclasses.replace(head.maps, region_attention_AD=one_hot), alpha=1.0
    )
    features_NDR = torch.zeros(1, 6, 4)
    features_NDR[0, 1, :3], features_NDR[0, 0, 3] = 1, 1

    weights_NAR = looking.attention(features_NDR)

    torch.testing.assert_close(weights_NAR.sum(dim=2), torch.ones(1, 5))
    assert weights_NAR[0, 0].argmax() == 3
    torch.testing.assert_close(weights_NAR[0, 1], torch.full((4,), 0.25))


def test_maps_should_stack_in_the_order_of_their_fields() -> None:
    maps = AttributeMaps(*(torch.full((2, 3), float(number)) for number in range(4)))

    assert maps.stacked()[:, 0].tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
