"""Class names in the forms that other tools read."""

import json
from collections.abc import Sequence

# Three lists of names must fit into a safetensors header of 8 MiB, beside its tensors.
NAMES_BYTES_MAX = 1 << 20
LABELS = ("id2label", "label2id")


def config(class_names: Sequence[str]) -> dict[str, dict[str, int] | dict[str, str]]:
    """Return `id2label` and `label2id` as a Hugging Face `config.json` holds them."""
    return {
        "id2label": {str(index): name for index, name in enumerate(class_names)},
        "label2id": {name: index for index, name in enumerate(class_names)},
    }


def metadata(class_names: Sequence[str], seen_count: int) -> dict[str, str]:
    """Return what a file says of its classes: `class_names`, a JSON list, and `seen_count`.

    `id2label` and `label2id` as well, JSON each, unless the names alone take over 1 MiB.
    """
    names = _json(list(class_names))
    metadata = {"class_names": names, "seen_count": str(seen_count)}
    if len(names.encode()) <= NAMES_BYTES_MAX:
        metadata |= {name: _json(mapping) for name, mapping in config(class_names).items()}
    return metadata


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
