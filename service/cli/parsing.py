"""Reads classes and settings as a person types or lists them."""

import json
from collections.abc import Iterable
from pathlib import Path

from pydantic import JsonValue

Entry = dict[str, str]


class TypedError(Exception):
    """What was typed cannot be meant; the text shows it and how it should look."""


def parse_entry(text: str) -> Entry:
    """Read `NAME` or `NAME: description`; the first colon with a space behind it divides."""
    name, _, description = (part.strip() for part in text.partition(": "))
    if not name:
        raise TypedError(f"{text!r} names no class; write NAME or 'NAME: description'")
    return {"name": name, "description": description} if description else {"name": name}


def read_entries(path: Path) -> list[Entry]:
    """Read one class a line; empty lines do not count."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise TypedError(f"{path} is no UTF-8 text: {error}") from error
    entries = [parse_entry(line) for line in lines if line.strip()]
    if not entries:
        raise TypedError(f"{path} lists no class; write one a line, NAME or 'NAME: description'")
    return entries


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
