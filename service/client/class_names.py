"""Reads the class names that a program gives, or that a torch network carries itself."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headgraft.arguments import ClassNames, Entry
from headgraft.errors import HeadgraftError
from headgraft.workers.names.class_list import NamesError
from headgraft.workers.names.documents import KEYS, find_names, read_document
from headgraft.workers.names.files import read_names
from headgraft.workers.names.renew import renewed

if TYPE_CHECKING:
    from torch.nn import Module

# What transformers calls a class of which it knows no name.
NAMELESS = re.compile(r"LABEL_\d+")
# timm's, and those of mmpretrain.
MAPPINGS = ("pretrained_cfg", "default_cfg", "dataset_meta", "meta")


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


def own_names(network: "Module") -> list[str]:
    """Return the names in a network's config, its `pretrained_cfg` or its own attributes.

    HeadgraftError where there are none, or two lists contradict each other.
    """
    kind = type(network).__name__
    try:
        found = find_names(_carried(network))
    except NamesError as error:
        detail = f"the class names of {kind} cannot be read: {error}; give class_names"
        raise HeadgraftError(None, "invalid_head", detail) from error
    if found is None:
        detail = f"{kind} does not name its classes: give class_names, in row order"
        raise HeadgraftError(None, "invalid_head", detail)
    return list(found.names)


def _carried(network: "Module") -> dict[str, Any]:
    carried: dict[str, Any] = {}
    labels = getattr(getattr(network, "config", None), "id2label", None)
    if labels and not any(NAMELESS.fullmatch(str(name)) for name in labels.values()):
        carried["config"] = {"id2label": labels}
    for attribute in (*KEYS, *MAPPINGS):
        held = getattr(network, attribute, None)
        if isinstance(held, Mapping | list | tuple) and attribute != "default_cfg":
            carried[attribute] = held
    return carried


def tell_names(network: "Module", names: Sequence[str], added: int) -> None:
    """Tell a network of all its classes, the last `added` new, wherever it names or counts them."""
    old = len(names) - added
    for field in ("num_classes", "num_labels"):
        if getattr(network, field, None) == old:
            setattr(network, field, len(names))
    for attribute in MAPPINGS:
        held = getattr(network, attribute, None)
        if isinstance(held, dict):
            setattr(network, attribute, renewed(held, names, added))
    own = {key: getattr(network, key, None) for key in KEYS}
    for key, value in renewed(own, names, added).items():
        if value is not own[key]:
            setattr(network, key, value)
    config: Any = getattr(network, "config", None)
    if getattr(config, "id2label", None):
        config.id2label = dict(enumerate(names))
        config.label2id = {name: index for index, name in enumerate(names)}
