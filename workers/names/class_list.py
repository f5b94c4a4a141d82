"""A list of class names in row order, and where each of them stands in what it was read from."""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

# Control characters, line and paragraph separators, and halves of a surrogate pair.
FORBIDDEN_CATEGORIES = frozenset({"Cc", "Zl", "Zp", "Cs"})
FORBIDDEN_PATTERN = r"^[^\u0000-\u001f\u007f-\u009f\u2028\u2029]*$"

EMPTY = "it lists no class; write one a line, NAME or 'NAME: description'"


class NamesError(ValueError):
    """No list of class names can be read; the text says why, and where."""


@dataclass(frozen=True)
class NamedClass:
    """A class, the line that describes it if there is one, and its place ("line 3")."""

    name: str
    description: str | None = None
    place: str = ""

    @property
    def entry(self) -> dict[str, str]:
        """The class as a request carries it."""
        if self.description is None:
            return {"name": self.name}
        return {"name": self.name, "description": self.description}


@dataclass(frozen=True)
class ClassList:
    """Classes in row order; `source` says what held them: "id2label", "lines", ..."""

    classes: tuple[NamedClass, ...]
    source: str

    @property
    def names(self) -> tuple[str, ...]:
        """The bare names."""
        return tuple(one.name for one in self.classes)

    @property
    def entries(self) -> list[dict[str, str]]:
        """The classes as a request carries them."""
        return [one.entry for one in self.classes]

    @property
    def summary(self) -> str:
        """Say what was understood: "20 names: cat ... bat, from id2label"."""
        names = self.names
        shown = " ... ".join((names[0], names[-1])) if len(names) > 1 else names[0]
        return f"{len(names)} name{'s' * (len(names) != 1)}: {shown}, from {self.source}"


def class_list(classes: Iterable[NamedClass], source: str) -> ClassList:
    """Check names that were read; NamesError for none at all, an empty one, or a control character.

    Spaces around a name go.
    """
    found = tuple(
        NamedClass(one.name.strip(" \t\xa0"), _stripped(one.description), one.place)
        for one in classes
    )
    if not found:
        raise NamesError(EMPTY)
    for one in found:
        if not one.name:
            raise NamesError(f"{one.place} names no class")
        for text in filter(None, (one.name, one.description)):
            if defect := control_defect(text):
                raise NamesError(f"{one.place} {defect}")
    return ClassList(found, source)


def control_defect(text: str) -> str | None:
    """Say which control character a text holds, None where there is none."""
    if text.isascii() and text.isprintable():
        return None
    for character in text:
        if unicodedata.category(character) in FORBIDDEN_CATEGORIES:
            return f"holds the control character U+{ord(character):04X}: {text!r:.60}"
    return None


def _stripped(description: str | None) -> str | None:
    return (description or "").strip(" \t\xa0") or None
