"""The generic pictures: which they are, whence they come, and how many crops of them are taken."""

import random
import re
from importlib import metadata

import pytest

from headgraft.models.errors import InjectionError
from headgraft.workers.pictures import generic

DISTRIBUTIONS = {"skimage": "scikit-image", "sklearn": "scikit-learn"}


def test_every_picture_should_have_its_licence_in_the_table() -> None:
    table = re.findall(r"^\| (\S+\.\w+) \| .+ \| (.+) \|$", str(generic.__doc__), re.MULTILINE)

    assert [file for file, _ in table] == [inside.split("/")[-1] for _, inside in generic.PICTURES]
    assert {licence for _, licence in table} == {
        "BSD-3-Clause",
        "CC BY 2.0",
        "CC0",
        "no known copyright restrictions",
        "public domain",
    }


def test_every_picture_should_come_with_its_package_and_not_be_downloaded() -> None:
    for package, inside in generic.PICTURES:
        files = {str(one) for one in metadata.files(DISTRIBUTIONS[package]) or ()}
        assert f"{package}/{inside}" in files


def test_the_crops_should_be_the_same_ones_of_each_picture_alike_many() -> None:
    crops, again = (list(generic.generic_crops(50)) for _ in range(2))

    assert [one.tobytes() for one in crops] == [one.tobytes() for one in again]
    assert {one.mode for one in crops} == {"RGB"}
    # No new version of Python may move them.
    assert [one.size for one in crops[:24:11]] == [(511, 441), (253, 204), (500, 475)]


def test_a_crop_should_have_a_tenth_of_its_picture_at_least() -> None:
    whole = 1000 * 800
    draw = random.Random(1)
    boxes = [generic._box(1000, 800, draw) for _ in range(500)]
    assert all(left >= 0 and top >= 0 for left, top, _, _ in boxes)
    assert all(right <= 1000 and bottom <= 800 for _, _, right, bottom in boxes)
    shares = [(box[2] - box[0]) * (box[3] - box[1]) / whole for box in boxes]
    assert 0.099 < min(shares) < 0.12
    assert 0.9 < max(shares) <= 1


@pytest.mark.parametrize(
    ("operations", "crops"),
    [
        (1, generic.CROPS),
        (10**8, generic.CROPS),
        (generic.OPERATIONS_MAX // 500, 500),
        (generic.OPERATIONS_EACH_MAX, generic.CROPS_MIN),
    ],
)
def test_a_large_network_should_see_fewer_crops(operations: int, crops: int) -> None:
    assert generic.crop_count(operations) == crops


def test_a_network_that_takes_too_long_for_a_picture_should_be_refused() -> None:
    with pytest.raises(InjectionError, match=r"2e\+12 operations .* the limit is 1e\+12"):
        generic.crop_count(2 * 10**12)


def test_a_package_that_is_not_installed_should_be_named_with_the_extra() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"'nowhere' .* 'headgraft\[demo\]'"):
        generic.package_folder("nowhere", "demo")
