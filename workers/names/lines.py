"""Reads class names from lines, and takes off what many lists put beside them."""

import re
from collections.abc import Sequence

from headgraft.workers.names.class_list import ClassList, NamedClass, NamesError, class_list
from headgraft.workers.names.documents import of_synonyms
from headgraft.workers.names.numbering import row_order

NUMBER_FIRST = re.compile(r"(\d{1,9})(\s*[:.)\],;|=\t-]\s*|\s+)(.+)", re.ASCII)
NUMBER_LAST = re.compile(r"(.*\S)\s*[\s,;:=]\s*(\d{1,9})", re.ASCII)
SYNSET_FIRST = re.compile(r"([nvars]\d{8})[\s:,;_-]+(\S.*)", re.ASCII)
PLACES365 = re.compile(r"/(\w)/(\1.*)")
BRACKETS = frozenset("[ ] { } ], }, [] {} ( )".split())  # noqa: SIM905  # as they stand in a file
QUOTED = re.compile(r"""(["']).*\1,?|.*["'],""")
MARKS = "-*•#/\\.@>|"
PATH = re.compile(r"[A-Za-z]:\\.*|.*\.(jpe?g|png|txt|json)", re.IGNORECASE)
FEWEST = 2
SYNSETS = "lines with synsets"


def read_lines(lines: Sequence[tuple[int, str]]) -> ClassList:
    """Read one class a line (its number, its text): `NAME` or `NAME: description`.

    Taken off, where every line has it: the row's number, a synset, the folder of Places365.
    NamesError for a piece of JSON, for paths, and for numbers that do not count the rows.
    """
    classes = [NamedClass(text.strip(" \t\xa0"), None, f"line {at}") for at, text in lines]
    _check_pieces(classes)
    told: list[str] = []
    for take_off, what in (
        (_without_first_number, "numbered lines"),
        (_without_first_number, "numbered lines"),
        (_without_last_number, "numbered lines"),
        (_without_synset, SYNSETS),
        (_without_folder, "lines with folders"),
    ):
        bare = take_off(classes)
        if bare is not None:
            classes, told = bare, [*told, what]
    _check_marks(classes)
    if SYNSETS not in told:
        classes = [divided(one.name, one.place) for one in classes]
    return class_list(classes, (told or ["lines"])[0])


def divided(text: str, place: str) -> NamedClass:
    """Divide `NAME: description` at the first colon with a space behind it."""
    name, _, description = text.partition(": ")
    return NamedClass(name, description, place)


def _without_first_number(classes: list[NamedClass]) -> list[NamedClass] | None:
    found = [NUMBER_FIRST.fullmatch(one.name) for one in classes]
    numbers = [int(match[1]) if match else None for match in found]
    rests = [match[3] if match else "" for match in found]
    bare = _in_row_order(classes, numbers, rests)
    if bare is None and len(classes) > FEWEST and all(m and m[2].strip() for m in found):
        raise NamesError(
            "every line begins with a number, but they do not count the rows from 0 or 1: write "
            "the names alone, or a JSON list of names"
        )
    return bare


def _without_last_number(classes: list[NamedClass]) -> list[NamedClass] | None:
    found = [NUMBER_LAST.fullmatch(one.name) for one in classes]
    numbers = [int(match[2]) if match else None for match in found]
    return _in_row_order(classes, numbers, [match[1] if match else "" for match in found])


def _in_row_order(
    classes: list[NamedClass], numbers: list[int | None], rests: list[str]
) -> list[NamedClass] | None:
    # "class 0", "class 1": without the numbers nothing is left to tell them apart.
    if 2 * len(set(rests)) <= len(rests):
        return None
    order = row_order(numbers, [one.place for one in classes])
    if order is None:
        return None
    return [NamedClass(rests[at], None, classes[at].place) for at in order]


def _without_synset(classes: list[NamedClass]) -> list[NamedClass] | None:
    found = [SYNSET_FIRST.fullmatch(one.name) for one in classes]
    if not any(found):
        return None
    bare = [
        of_synonyms(match[2], one.place) for one, match in zip(classes, found, strict=True) if match
    ]
    if len(bare) == len(classes):
        return bare
    if 2 * len(bare) > len(classes):
        odd = next(one for one, match in zip(classes, found, strict=True) if not match)
        raise NamesError(f"{odd.place} has no synset, though the others begin with one")
    return None


def _without_folder(classes: list[NamedClass]) -> list[NamedClass] | None:
    found = [PLACES365.fullmatch(one.name) for one in classes]
    if not all(found):
        return None
    return [
        NamedClass(match[2], None, one.place)
        for one, match in zip(classes, found, strict=True)
        if match
    ]


def _check_pieces(classes: Sequence[NamedClass]) -> None:
    """Raise NamesError for a piece of JSON: brackets, quotes and commas around the names."""
    for one in classes:
        if one.name in BRACKETS:
            raise NamesError(f"{one.place} is {one.name!r}: a piece of JSON, no list of names")
    quoted = [one for one in classes if QUOTED.fullmatch(one.name) or one.name.endswith(",")]
    if 2 * len(quoted) > len(classes):
        first = quoted[0]
        raise NamesError(
            f"{first.place} is {first.name!r:.60}: quotes and commas are no part of a name; write "
            "the names alone, or a whole JSON list"
        )


def _check_marks(classes: Sequence[NamedClass]) -> None:
    """Raise NamesError for paths, bullets and the like before every name."""
    if len(classes) < FEWEST:
        return
    starts = {one.name[:1] for one in classes}
    if len(starts) == 1 and starts <= set(MARKS):
        raise NamesError(
            f"every line begins with {starts.pop()!r}, such as {classes[0].name!r:.60}: write the "
            "names alone"
        )
    if all(PATH.fullmatch(one.name) for one in classes):
        raise NamesError(f"every line is a path, such as {classes[0].name!r:.60}: write the names")
