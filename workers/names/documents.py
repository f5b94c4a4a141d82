"""Finds class names in a document: what JSON, YAML or a checkpoint holds beside its tensors."""

import ast
import json
import operator
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from headgraft.workers.names.class_list import ClassList, NamedClass, NamesError, class_list

# Where names stand, the most telling first: rows to names, lists, names to rows.
ROWS_TO_NAMES = ("id2label", "idx_to_class", "idx2label", "class_names", "label_names")
LISTS = ("CLASSES", "classes", "names", "categories", "labels")
NAMES_TO_ROWS = ("label2id", "class_to_idx", "class_indices")
KEYS = (*ROWS_TO_NAMES, *LISTS, *NAMES_TO_ROWS)
# What holds them one level down: mmpretrain, timm, Lightning, ultralytics.
CONTAINERS = ("meta", "dataset_meta", "pretrained_cfg", "config", "hyper_parameters")
NAME_FIELDS = ("name", "label", "class_name")
SYNSET = re.compile(r"[nvars]\d{8}")
ROW = re.compile(r"\d{1,9}", re.ASCII)


def find_names(document: Mapping[Any, Any]) -> ClassList | None:
    """Return the names that a mapping holds under a customary key, None where there is none.

    NamesError where one of them is no list of names, or two contradict each other.
    """
    held = {
        f"{prefix}{key}": (key, holder)
        for prefix, holder in _holders(document)
        for key in KEYS
        if key in holder and _may_hold_names(holder[key])
    }
    first: ClassList | None = None
    for source, (key, holder) in held.items():
        value = holder[key]
        if first and key in NAMES_TO_ROWS:
            _check_rows(first, source, value)
            continue
        try:
            further = _read(value, source, holder.get("label_descriptions"))
        except NamesError as error:
            raise NamesError(f"{source}: {error}") from error
        if first and first.names != further.names:
            raise _contradiction(first, further)
        first = first or further
    return first


def read_document(document: object) -> ClassList:
    """Return the names that a whole document lists; NamesError where it lists none.

    A list of names, a mapping of rows to names or of names to rows, or either under a customary
    key.
    """
    if isinstance(document, Mapping):
        found = find_names(document)
        if found:
            return found
        source = (
            "names by row"
            if all(row_number(key) is not None for key in document)
            else "rows by name"
        )
        return _read(document, source)
    return _read(document, "a list")


def read_literal(text: str) -> object:
    """Read JSON, or a dict or list as Python prints it; NamesError where it is neither."""
    try:
        return json.loads(text, object_pairs_hook=_without_repetition)
    except RecursionError as error:
        raise NamesError("it nests too deeply to be a list of names") from error
    except NamesError:
        raise
    except ValueError as error:
        defect = error
    try:
        tree = ast.parse(text.strip(), mode="eval")
        for node in ast.walk(tree):
            if isinstance(node, ast.Dict):
                keys = [ast.literal_eval(key) for key in node.keys if key is not None]
                _without_repetition([(key, None) for key in keys])
        return ast.literal_eval(tree)
    except NamesError:
        raise
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        where = ""
        if isinstance(defect, json.JSONDecodeError):
            where = f" at line {defect.lineno}, column {defect.colno}"
        raise NamesError(f"it is no JSON: it breaks{where}") from None


def _without_repetition(pairs: Sequence[tuple[Any, Any]]) -> dict[Any, Any]:
    document = dict(pairs)
    if len(document) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise NamesError(f"the key {twice!r:.60} stands twice in it")
    return document


def _holders(document: Mapping[Any, Any]) -> Iterable[tuple[str, Mapping[Any, Any]]]:
    yield "", document
    for key in CONTAINERS:
        held = document.get(key)
        if isinstance(held, Mapping):
            yield f"{key}.", held


def _may_hold_names(value: object) -> bool:
    """Tell names from a number of classes, a tensor, the labels of pictures, or nothing at all."""
    if isinstance(value, str):
        return value.lstrip()[:1] in ("[", "{") and value.strip() not in ("[]", "{}")
    if isinstance(value, Mapping):
        first = next(iter(value.values()), None)
        return isinstance(first, str | Mapping | list | tuple) or row_number(first) is not None
    return isinstance(value, list | tuple) and isinstance(
        next(iter(value), None), str | Mapping | list | tuple
    )


def _read(value: object, source: str, descriptions: object = None) -> ClassList:
    if isinstance(value, str):
        value = read_literal(value)
    if isinstance(value, Mapping):
        classes = _of_mapping(value, source)
    elif isinstance(value, list | tuple):
        classes = [_entry(one, f"entry {number}") for number, one in enumerate(value, 1)]
        classes = _by_number(classes, value)
    else:
        raise NamesError(f"it holds {_shown(value)}, no list of names")
    if isinstance(descriptions, Mapping):
        classes = [_described(one, descriptions) for one in classes]
    return class_list(classes, source)


def _of_mapping(mapping: Mapping[Any, Any], source: str) -> list[NamedClass]:
    """Read {row: name} or {name: row}, whatever the order it is written in."""
    rows = [row_number(key) for key in mapping]
    if mapping and None not in rows:
        classes = [_entry(value, f"entry {key!r}") for key, value in mapping.items()]
        return in_order(classes, rows, source)
    rows = [None if isinstance(value, str) else row_number(value) for value in mapping.values()]
    if mapping and None not in rows and all(isinstance(key, str) for key in mapping):
        classes = [NamedClass(key, None, f"entry {key!r:.60}") for key in mapping]
        return in_order(classes, rows, source)
    keys = ", ".join(f"{key!r:.40}" for key in list(mapping)[:6])
    raise NamesError(
        f"no list of class names is in it: legal are a list of names, an object of rows and names, "
        f"and either under one of {', '.join(KEYS)}; its keys are {keys or 'none'}"
    )


def in_order(
    classes: Sequence[NamedClass], rows: Sequence[int | None], source: str
) -> list[NamedClass]:
    """Sort classes by their rows, which must count from 0 or from 1; NamesError where not."""
    by_row: dict[int | None, NamedClass] = {}
    for one, row in zip(classes, rows, strict=True):
        if row in by_row:
            raise NamesError(
                f"row {row} of {source} is given twice, to {by_row[row].name!r:.60} and to "
                f"{one.name!r:.60}"
            )
        by_row[row] = one
    first = 0 if 0 in by_row else 1
    wanted = range(first, first + len(by_row))
    missing = next((row for row in wanted if row not in by_row), None)
    if missing is not None:
        raise NamesError(
            f"the rows of {source} must count from 0 or 1 without a gap: {missing} is missing"
        )
    return [by_row[row] for row in wanted]


def _by_number(classes: list[NamedClass], entries: Sequence[object]) -> list[NamedClass]:
    """Keep a list of objects in its order, unless their own numbers say another one."""
    ids = [
        row_number(one["id"]) if isinstance(one, Mapping) and "id" in one else None
        for one in entries
    ]
    numbers = [one for one in ids if one is not None]
    if len(numbers) < len(entries) or numbers == sorted(set(numbers)):
        return classes
    return in_order(classes, ids, "their ids")


def _entry(value: object, place: str) -> NamedClass:
    if isinstance(value, str):
        return NamedClass(value, None, place)
    if isinstance(value, Mapping):
        name = next((value[field] for field in NAME_FIELDS if field in value), None)
        about = value.get("description")
        if isinstance(name, str):
            return NamedClass(name, about if isinstance(about, str) else None, place)
    elif isinstance(value, list | tuple) and len(value) == 2:  # Keras: [synset, name]
        synset, name = value
        if isinstance(synset, str) and SYNSET.fullmatch(synset) and isinstance(name, str):
            return NamedClass(name, None, place)
    raise NamesError(f"{place} is {_shown(value)}, no name")


def _described(one: NamedClass, descriptions: Mapping[Any, Any]) -> NamedClass:
    """Call a class that goes by its synset what is said of it, as timm keeps its labels."""
    text = descriptions.get(one.name)
    return of_synonyms(text, one.place) if isinstance(text, str) and text.strip() else one


def of_synonyms(text: str, place: str) -> NamedClass:
    """Call a class by the first of its synonyms, and describe it by all of them."""
    name, comma, _ = text.partition(",")
    return NamedClass(name, text if comma else None, place)


def _check_rows(names: ClassList, source: str, value: object) -> None:
    """Hold {name: row} against the rows' names: of two rows of one name it can give one only."""
    if isinstance(value, str):
        value = read_literal(value)
    pairs = value.items() if isinstance(value, Mapping) else ()
    for name, row in pairs:
        at = row_number(row)
        if at is None or at >= len(names.names) or names.names[at] != str(name).strip():
            detail = f"{name!r:.60} is row {row!r:.20}"
            raise NamesError(f"{names.source} and {source} contradict each other: {detail}")


def _contradiction(names: ClassList, further: ClassList) -> NamesError:
    pairs = zip(names.names, further.names, strict=False)
    differing = next((pair for pair in pairs if pair[0] != pair[1]), None)
    detail = (
        f"{len(names.names)} names and {len(further.names)}"
        if differing is None
        else f"{differing[0]!r:.60} and {differing[1]!r:.60} for the same row"
    )
    return NamesError(f"{names.source} and {further.source} contradict each other: {detail}")


def row_number(value: object) -> int | None:
    """Return a number that can be a row's, also written as text; None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        return int(value) if ROW.fullmatch(value) else None
    try:
        return operator.index(value)  # type: ignore[arg-type]  # the question is whether it is one
    except TypeError:
        return None


def _shown(value: object) -> str:
    return f"{value!r:.60}" if isinstance(value, str | int | float) else f"a {type(value).__name__}"
