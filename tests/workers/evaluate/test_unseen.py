"""unseen_rows: which rows were injected, by names, by number, or as the file itself says."""

from pathlib import Path

import pytest

from headgraft.models.errors import InjectionError
from headgraft.workers.evaluate import unseen

NAMES = ("a", "b", "c", "d")


def test_unseen_rows_should_be_found_by_name_wherever_they_stand() -> None:
    assert unseen.by_names(("d", "b"), NAMES).tolist() == [False, True, False, True]


def test_rows_behind_the_seen_ones_should_be_unseen() -> None:
    assert unseen.by_count(3, 4).tolist() == [False, False, False, True]


def test_a_name_without_a_row_should_be_refused() -> None:
    with pytest.raises(InjectionError, match="no row for the unseen class 'e'"):
        unseen.by_names(("b", "e"), NAMES)


@pytest.mark.parametrize("count", [0, -1, 4])
def test_a_count_that_leaves_a_side_empty_should_be_refused_with_the_range(count: int) -> None:
    with pytest.raises(InjectionError, match=f"--seen-count {count} .* it can be 1 to 3"):
        unseen.by_count(count, 4)


def test_a_file_should_say_it_or_not() -> None:
    assert unseen.stored_count(Path("h"), {"seen_count": "3"}, 4) == 3
    assert unseen.stored_count(Path("h"), {"format": "pt"}, 4) is None


@pytest.mark.parametrize("text", ["4", "0", "-1", "", "three", "1.5", "²"])
def test_a_stored_count_that_cannot_be_should_be_refused(text: str) -> None:
    with pytest.raises(InjectionError, match=r"seen_count in the metadata is .* can be 1 to 3"):
        unseen.stored_count(Path("h"), {"seen_count": text}, 4)
