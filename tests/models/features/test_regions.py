"""Region features in memory: what they tell of themselves, and what is taken of them."""

import pytest
import torch

from headgraft.models.features.regions import grid_of
from tests.models.builders import make_regions
from tests.region_features import RegionsInMemory


@pytest.mark.parametrize(("regions", "grid"), [(49, (7, 7)), (1, (1, 1)), (12, (1, 12))])
def test_regions_should_lie_in_a_square_where_they_can(regions: int, grid: tuple[int, int]) -> None:
    assert grid_of(regions) == grid


def test_pictures_should_be_taken_by_number_in_float32() -> None:
    held = make_regions()
    half = RegionsInMemory(held.features_NDR.half(), held.labels_N)

    taken_BDR = half.take(torch.tensor([5, 2, 5]))

    assert taken_BDR.dtype == torch.float32
    torch.testing.assert_close(taken_BDR, held.features_NDR[[5, 2, 5]], atol=2e-3, rtol=1e-3)
    assert (half.feature_size, half.grid) == (6, (2, 2))
