"""Fills settings that are absent with a publication's; it does not know which method has them."""

from collections.abc import Mapping
from typing import Any

from pydantic import JsonValue


def filled(given: Any, key: str, value: object, published: Mapping[str, JsonValue]) -> Any:
    """Return the settings as given, over the published ones where `key` is set to `value`.

    What is no mapping comes back as it is, for pydantic to refuse.
    """
    if not isinstance(given, dict):
        return given
    asked = given.get(key)
    return {**published, **given} if type(asked) is type(value) and asked == value else given
