"""Finds out which rows of a head are unseen classes."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from headgraft.models.errors import InjectionError

SEEN_COUNT = "seen_count"


def by_names(unseen_names: tuple[str, ...], head_names: tuple[str, ...]) -> Tensor:
    """Return the mask (C,) of the unseen classes; InjectionError naming one that has no row."""
    strange = set(unseen_names) - set(head_names)
    if strange:
        raise InjectionError(
            f"the head has no row for the unseen class {min(strange)!r}; its rows must be the "
            "seen classes and the injected ones, under the same names"
        )
    hidden = set(unseen_names)
    return torch.tensor([name in hidden for name in head_names])


def by_count(seen_count: int, class_count: int) -> Tensor:
    """Return the mask (C,) of all rows after the first `seen_count`; InjectionError if none is."""
    if not 1 <= seen_count < class_count:
        raise InjectionError(
            f"--seen-count {seen_count} leaves no class on one side; with {class_count} classes "
            f"it can be 1 to {class_count - 1}"
        )
    return torch.arange(class_count) >= seen_count


def stored_count(path: Path, metadata: Mapping[str, str], class_count: int) -> int | None:
    """Return how many first rows were there before injection, as the metadata says, if it does.

    InjectionError for a number that is impossible.
    """
    text = metadata.get(SEEN_COUNT)
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and 1 <= int(text) < class_count):
        raise InjectionError(
            f"{path}: {SEEN_COUNT} in the metadata is {text!r:.40}; with {class_count} classes it "
            f"can be 1 to {class_count - 1}"
        )
    return int(text)
