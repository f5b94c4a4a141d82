"""Where a head looked: which pictures, which attributes, and the map of their attention."""

import dataclasses

import pytest
import torch

from headgraft.models.errors import InjectionError
from headgraft.workers.report.attention import cells, look, spread
from tests.models.builders import make_attribute_head, some_regions
from tests.region_features import RegionsInMemory

REGIONS = RegionsInMemory(some_regions(12), torch.arange(12) % 6)


def test_each_map_should_be_the_heads_attention_laid_out_in_the_grid() -> None:
    head = make_attribute_head()

    told = look(head, REGIONS, [7, 3])

    assert [one.picture for one in told] == [7, 3]
    assert told[0].class_name == "class 1"
    answer = int(head.logits(REGIONS.features_NDR[7:8]).argmax())
    assert told[0].answer == f"class {answer}"
    first = told[0].attributes[0]
    number = int(first.name.removeprefix("attribute "))
    weights_R = head.attention(REGIONS.features_NDR[7:8])[0, number]
    torch.testing.assert_close(torch.tensor(first.weights), weights_R.view(2, 2), atol=1e-4, rtol=0)


def test_attributes_should_be_those_that_most_spoke_for_the_answer() -> None:
    head = dataclasses.replace(make_attribute_head(), attribute_names=tuple("abcde"))

    told = look(head, REGIONS, [0])[0]

    answer = head.class_names.index(told.answer)
    parts_A = head.attribute_scores(REGIONS.features_NDR[:1])[0] * head.class_attributes_CA[answer]
    best = parts_A.topk(3)
    assert [one.name for one in told.attributes] == ["abcde"[at] for at in best.indices]
    assert told.attributes[0].score == pytest.approx(float(best.values[0]), abs=1e-4)


def test_without_a_wish_pictures_of_different_classes_should_be_shown() -> None:
    assert spread(torch.arange(1000) // 10).tolist() == list(range(0, 1000, 70))
    assert len(look(make_attribute_head(), REGIONS, None)) == 6


def test_a_picture_that_is_not_there_should_be_refused() -> None:
    with pytest.raises(InjectionError, match="picture 12; pictures are 0 to 11"):
        look(make_attribute_head(), REGIONS, [0, 12])


def test_a_fine_grid_should_be_shown_coarser() -> None:
    fine = RegionsInMemory(torch.randn(2, 6, 56 * 56), torch.tensor([0, 1]))

    weights = look(make_attribute_head(), fine, [0])[0].attributes[0].weights

    assert (len(weights), len(weights[0])) == (28, 28)
    assert sum(map(sum, weights)) == pytest.approx(1, abs=0.05)


def test_a_map_should_leave_out_what_cannot_be_seen() -> None:
    assert cells([[0.5, 0.001], [0.25, 0.249]]) == [(0, 0, 1.0), (0, 1, 0.5), (1, 1, 0.498)]
