"""Reads the class names that a program gives: a list, a mapping of rows and names, or a file."""

from collections.abc import Mapping
from pathlib import Path

from headgraft.arguments import ClassNames, Entry
from headgraft.errors import HeadgraftError
from headgraft.workers.names.class_list import NamesError
from headgraft.workers.names.documents import read_document
from headgraft.workers.names.files import read_names


def class_entries(given: ClassNames | None) -> list[Entry] | None:
    """Return the classes in row order, None for None; HeadgraftError where they cannot be read.

    `id2label`, `label2id` and `class_to_idx` are mappings, a Path is a file that lists names.
    """
    if given is None:
        return None
    try:
        if isinstance(given, Path):
            return list(read_names(given).entries)
        if isinstance(given, Mapping):
            return list(read_document(given).entries)
    except NamesError as error:
        raise HeadgraftError(None, "invalid_request", f"class_names: {error}") from error
    return list(given)
