"""Tells a document that names a head's classes of the classes that were added."""

from collections.abc import Mapping, Sequence
from typing import Any

from headgraft.workers.names.class_list import NamesError
from headgraft.workers.names.documents import (
    CONTAINERS,
    KEYS,
    NAMES_TO_ROWS,
    find_names,
    row_number,
)

COUNTS = ("num_labels", "num_classes", "n_classes", "nc")


def renewed(document: Mapping[Any, Any], names: Sequence[str], added: int) -> dict[Any, Any]:
    """Return the document with all of `names`, whose last `added` are new; the rest as it was.

    A list or mapping of as many names as there were old classes gets the new ones; so does a number
    of classes. What names nothing stays.
    """
    copy = _renewed_part(document, names, added)
    for key in CONTAINERS:
        held = copy.get(key)
        if isinstance(held, Mapping):
            copy[key] = _renewed_part(held, names, added)
    return copy


def _renewed_part(part: Mapping[Any, Any], names: Sequence[str], added: int) -> dict[Any, Any]:
    copy, old = dict(part), len(names) - added
    for key in KEYS:
        value = copy.get(key)
        if isinstance(value, Mapping | list | tuple) and _counts(key, value, old):
            copy[key] = _grown(key, value, names, old)
    for key in COUNTS:
        if copy.get(key) == old and not isinstance(copy[key], bool):
            copy[key] = len(names)
    return copy


def _counts(key: str, value: Any, old: int) -> bool:
    """Tell whether a value names the old classes, and all of them."""
    if key in NAMES_TO_ROWS:  # of two rows of one name it holds one
        return isinstance(value, Mapping) and 0 < len(value) <= old
    try:
        found = find_names({key: value})
    except NamesError:
        return False
    return found is not None and len(found.names) == old


def _grown(key: str, value: Any, names: Sequence[str], old: int) -> Any:
    new = names[old:]
    if isinstance(value, list | tuple):
        return type(value)([*value, *(_like(value[0], name) for name in new)])
    first_key, first_value = next(iter(value.items()))
    if key in NAMES_TO_ROWS or row_number(first_key) is None:
        return {**{name: row for row, name in enumerate(new, old)}, **value}
    as_key = type(first_key)
    start = old if as_key(0) in value else old + 1
    return {
        **value,
        **{as_key(row): _like(first_value, name) for row, name in enumerate(new, start)},
    }


def _like(one: Any, name: str) -> Any:
    """Write a name as another entry of the list writes its own."""
    if isinstance(one, str):
        return name
    return {"name": name} if isinstance(one, Mapping) else [name, name]
