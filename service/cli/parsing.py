"""Reads classes and settings as a person types them."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from pydantic import JsonValue

from headgraft.workers.names.class_list import ClassList, class_list
from headgraft.workers.names.files import read_names
from headgraft.workers.names.lines import divided

Value = TypeVar("Value")


class TypedError(Exception):
    """What was typed cannot be meant; the text shows it and how it should look."""


def added(texts: Sequence[str], path: Path | None) -> ClassList:
    """Read the classes of --add, `NAME` or `NAME: description`, and then those of a file."""
    typed = [divided(text, f"--add {text!r}") for text in texts]
    found = read_names(path) if path else None
    if not typed and not found:
        raise TypedError("no class to add: say --add 'NAME: description', or --add-file FILE")
    classes = [*typed, *(found.classes if found else ())]
    return class_list(classes, found.source if found else "--add")


def given(**values: Value | None) -> dict[str, Value] | None:
    """Return those of the values that are not None; None where all are."""
    return {name: value for name, value in values.items() if value is not None} or None


def parse_settings(texts: Iterable[str]) -> dict[str, JsonValue]:
    """Read `name=value` pairs; a value is JSON where it can be, else the text itself."""
    pairs = parse_pairs(texts, "setting; write name=value, such as seed=1")
    return {name: _value(value) for name, value in pairs.items()}


def parse_metadata(texts: Iterable[str]) -> dict[str, str]:
    """Read `key=value` pairs of an injection's metadata."""
    return parse_pairs(texts, "metadata; write key=value, such as project=zoo")


def parse_network(text: str) -> dict[str, str]:
    """Read `timm:NAME`, a network by the library that has it."""
    library, colon, name = text.partition(":")
    if library != "timm" or not colon or not name:
        raise TypedError(f"{text!r} is no network; write timm:NAME, such as timm:resnet50")
    return {library: name}


def parse_pairs(texts: Iterable[str], what: str) -> dict[str, str]:
    """Read `name=value` pairs; TypedError where one is not `what` it should be."""
    pairs: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise TypedError(f"{text!r} is no {what}")
        pairs[name.strip()] = value.strip()
    return pairs


def _value(text: str) -> JsonValue:
    try:
        value: JsonValue = json.loads(text)
    except ValueError:
        return text
    return value
