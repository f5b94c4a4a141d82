"""Runs a method under other constants than those of its preset."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

Constants = TypeVar("Constants")


@contextmanager
def constants_as(presets: dict[str, Constants], preset: str, changed: Constants) -> Iterator[None]:
    """Put other constants in the place of a preset's, as long as the block runs.

    `presets` is `CONSTANTS` of a method's settings.py; the change is that of this process alone.
    """
    usual = presets[preset]
    presets[preset] = changed
    try:
        yield
    finally:
        presets[preset] = usual
