"""The demo's arithmetic, on heads small enough to check by eye."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from headgraft.service.demo.figures import (
    DemoOutcome,
    Guess,
    HeadFile,
    nearest_rows,
    old_rows_unchanged,
    place,
    ranking,
    sights,
)

SEEN = HeadFile(
    np.array([[1, 0, 0], [-1, 0, 0]], dtype=np.float32),
    np.zeros(2, dtype=np.float32),
    ("left", "right"),
)


def with_rows(*rows: tuple[float, float, float], names: tuple[str, ...]) -> HeadFile:
    return HeadFile(
        np.vstack([SEEN.weight_CD, np.array(rows, dtype=np.float32)]),
        np.zeros(2 + len(rows), dtype=np.float32),
        SEEN.class_names + names,
    )


FULL = with_rows((0, 2, 0), (0, 0, 2), names=("up", "front"))


def test_a_ranking_should_be_the_softmax_in_order() -> None:
    guesses = ranking(SEEN, np.array([np.log(3) / 2, 0, 0], dtype=np.float32))

    assert [guess.name for guess in guesses] == ["left", "right"]
    assert [guess.probability for guess in guesses] == pytest.approx([0.75, 0.25])


def test_a_place_should_count_from_one() -> None:
    guesses = [Guess("left", 0.7), Guess("right", 0.3)]

    assert [place(guesses, name) for name in ("left", "right")] == [1, 2]
    with pytest.raises(ValueError, match="up"):
        place(guesses, "up")


def test_a_picture_should_show_what_the_untouched_head_sees(tmp_path: Path) -> None:
    swapped = with_rows((0, 0, 2), (0, 2, 0), names=("up", "front"))
    x_D = np.array([0.1, 1, 0], dtype=np.float32)
    outcome = DemoOutcome(
        tmp_path, ("up", "front"), FULL, SEEN, swapped, FULL, {"sky.png": x_D}, {}
    )

    (sight,) = sights(outcome)

    assert (sight.picture, sight.shows, sight.is_new) == ("sky.png", "up", True)
    assert [guess.name for guess in sight.before] == ["left", "right"]
    assert [guess.name for guess in sight.after] == ["up", "left", "front", "right"]
    assert (sight.place_by_name, sight.place_described) == (3, 1)


def test_a_row_should_count_as_nearest_by_direction_whatever_its_length() -> None:
    good = with_rows((0, 9, 1), (0, 0.1, 0.3), names=("up", "front"))
    swapped = with_rows((0, 0, 1), (0, 1, 0), names=("up", "front"))
    half = with_rows((0, 3, 0), (0, 1, 0), names=("up", "front"))

    counts = [nearest_rows(head, FULL, ("up", "front")) for head in (good, swapped, half)]
    assert counts == [2, 0, 1]


def test_a_single_changed_bit_in_an_old_row_should_be_noticed() -> None:
    assert old_rows_unchanged(FULL, SEEN)

    changed = FULL.weight_CD.copy()
    changed[0, 0] = np.nextafter(changed[0, 0], np.float32(2))
    assert not old_rows_unchanged(replace(FULL, weight_CD=changed), SEEN)
