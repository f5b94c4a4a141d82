"""Tells numbers that count the rows of a list from numbers that belong to its names."""

from collections.abc import Sequence
from itertools import pairwise

from headgraft.workers.names.class_list import NamesError

FEWEST = 2


def row_order(numbers: Sequence[int | None], places: Sequence[str]) -> list[int] | None:
    """Return the positions by rising number where the numbers count from 0 or 1; None where not.

    `numbers` has None where an entry has none. NamesError where they nearly count: a list that was
    damaged must not pass for one without numbers.
    """
    known = [number for number in numbers if number is not None]
    if len(numbers) < FEWEST or len(known) < FEWEST:
        return None
    first = 0 if 0 in known else 1
    wanted = set(range(first, first + len(numbers)))
    if len(known) == len(numbers) and set(known) == wanted:
        return sorted(range(len(numbers)), key=lambda at: known[at])
    if not nearly_counts(numbers):
        return None
    for at, number in enumerate(numbers):
        if number is None:
            raise NamesError(f"{places[at]} has no number, though the others are numbered")
        if number in numbers[:at]:
            raise NamesError(f"{places[at]} has the number {number}, as another has")
    missing = min(wanted - set(known))
    raise NamesError(
        f"the numbers must count from 0 or 1 without a gap, each number a row: {missing} is missing"
    )


def nearly_counts(numbers: Sequence[int | None]) -> bool:
    """Tell whether most entries have a number of a row, mostly one more than that before."""
    known = [number for number in numbers if number is not None and number <= len(numbers)]
    if len(numbers) <= FEWEST or 2 * len(known) <= len(numbers):
        return False
    steps = sum(after - before == 1 for before, after in pairwise(known))
    return 2 * steps >= len(known) - 1
