"""New names against old ones, and names that say nothing."""

import pytest

from headgraft.workers.names.compare import find_twins, meaningless


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("tench", "Tench"),
        ("European fire salamander", "European_fire_salamander"),
        ("fire truck", "firetruck"),
        ("fire truck", "fire-truck"),
        ("tench", "tenches"),
        ("ponies", "pony"),
        ("wolf", "wolves"),
        ("fireman", "firemen"),
        ("tench", "tench\u200b"),
        ("tench", "\uff54\uff45\uff4e\uff43\uff48"),
        ("caf\u00e9", "cafe\u0301"),
        ("Stra\u00dfe", "STRASSE"),
    ],
)
def test_another_spelling_should_be_a_twin(old: str, new: str) -> None:
    assert list(find_twins([old], [new])) == [(0, old)]


@pytest.mark.parametrize(
    ("old", "new"),
    [("glass", "glas"), ("C", "C++"), ("class 1", "class 11"), ("bus", "bun"), ("+", "-"),
     ("crane", "crate"), ("a b", "a"), ("A-", "A")],
)  # fmt: skip
def test_another_name_should_be_none(old: str, new: str) -> None:
    assert list(find_twins([old], [new])) == []


def test_two_new_names_should_be_compared_too() -> None:
    assert list(find_twins(["tench"], ["okapi", "puma", "Okapis"])) == [(2, "okapi")]


@pytest.mark.parametrize(
    "name", ["LABEL_3", "17", "class_4", "class 4", "n01440764", "Cluster-2", "a", "??", "#3"]
)
def test_a_name_that_says_nothing_should_be_warned_of(name: str) -> None:
    warning = meaningless(["tench", name])
    assert warning
    assert f"1 of the 2 class names says nothing, such as {name!r}" in warning


def test_words_should_say_something() -> None:
    assert meaningless(["tench", "Boeing 737", "classic car", "noon", "3D printer"]) is None
