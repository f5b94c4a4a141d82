"""Compares new class names with old ones, and finds names that tell a text encoder nothing."""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache

SPACES = re.compile(r"[\s_]+|(?<=\w)[-\u2010-\u2015](?=\w)")
# Letters that show nothing: fillers that are no format characters.
INVISIBLE = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0")
# How a plural ends, and what its singular may end with instead.
PLURALS = (
    ("ies", ("y", "ie")),
    ("ves", ("f", "fe", "ve")),
    ("es", ("", "e", "is")),
    ("s", ("",)),
    ("men", ("man",)),
    ("mice", ("mouse",)),
    ("geese", ("goose",)),
    ("feet", ("foot",)),
    ("teeth", ("tooth",)),
    ("children", ("child",)),
    ("people", ("person",)),
)
STEM_MIN = 3
SAYS_NOTHING = re.compile(
    r"((label|class|category|cls|cluster|target|id|idx|index|output|node|unknown)[\s_.-]*)?#?\d+"
    r"|[nvars]\d{8}|[a-z]|\W+",
    re.IGNORECASE,
)


def find_twins(old: Sequence[str], new: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Yield the number of each new name that is an earlier one in another spelling, and that one.

    Blind to case, width, spaces, underscores, hyphens, plural and characters that do not show.
    """
    known: dict[str, str] = {}
    for name in old:
        for form in singulars(name):
            known.setdefault(form, name)
    for index, name in enumerate(new):
        forms = singulars(name)
        twin = next((known[form] for form in forms if form in known), None)
        if twin is not None:
            yield index, twin
        for form in forms:
            known.setdefault(form, name)


@lru_cache(maxsize=1 << 16)
def singulars(name: str) -> tuple[str, ...]:
    """Return what a name is compared by: its letters alone, and what they are in the singular."""
    plain = _plain(name)
    forms = [plain]
    for ending, others in PLURALS:
        if plain.endswith(ending) and not plain.endswith("ss"):
            stem = plain.removesuffix(ending)
            forms += [stem + other for other in others if len(stem + other) >= STEM_MIN]
    return tuple(dict.fromkeys(forms))


def _plain(name: str) -> str:
    if not name.isascii():
        name = unicodedata.normalize("NFKC", name)
        name = "".join(
            character
            for character in name
            if unicodedata.category(character) != "Cf"
            and character not in INVISIBLE
            and not 0xFE00 <= ord(character) <= 0xFE0F
        )
    name = name.casefold().strip()
    return SPACES.sub("", name) or name


def meaningless(names: Sequence[str]) -> str | None:
    """Say which names tell a text encoder nothing: 17, LABEL_3, a synset; None where none."""
    empty = [name for name in names if SAYS_NOTHING.fullmatch(name)]
    if not empty:
        return None
    shown = ", ".join(repr(name) for name in empty[:3])
    verb = "says" if len(empty) == 1 else "say"
    return (
        f"{len(empty)} of the {len(names)} class names {verb} nothing, such as {shown}: a text "
        "encoder learns nothing from them; give words, or descriptions"
    )
