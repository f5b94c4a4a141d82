"""Class names in the forms that other tools read."""

import json
from collections.abc import Mapping, Sequence

# Three lists of names must fit into a safetensors header of 8 MiB, beside its tensors.
NAMES_BYTES_MAX = 1 << 20
LABELS = ("id2label", "label2id")
INJECTED = "injected_rows"


def config(class_names: Sequence[str]) -> dict[str, dict[str, int] | dict[str, str]]:
    """Return `id2label` and `label2id` as a Hugging Face `config.json` holds them."""
    return {
        "id2label": {str(index): name for index, name in enumerate(class_names)},
        "label2id": {name: index for index, name in enumerate(class_names)},
    }


def metadata(
    class_names: Sequence[str], seen_count: int, injected: Sequence[int] = ()
) -> dict[str, str]:
    """Return what a file says of its classes: `class_names`, a JSON list, and `seen_count`.

    `injected_rows` are the rows that were not trained, as pairs of a first number and one behind
    the last: those after the first `seen_count`, and those that were `injected` before them.
    `id2label` and `label2id` as well, JSON each, unless the names alone take over 1 MiB.
    """
    names = _json(list(class_names))
    rows = [*(row for row in injected if row < seen_count), *range(seen_count, len(class_names))]
    metadata = {"class_names": names, "seen_count": str(seen_count), INJECTED: _json(_pairs(rows))}
    if len(names.encode()) <= NAMES_BYTES_MAX:
        metadata |= {name: _json(mapping) for name, mapping in config(class_names).items()}
    return metadata


def injected_rows(metadata: Mapping[str, str], class_count: int) -> tuple[int, ...]:
    """Return the rows that a file says were injected; none where it says nothing that fits."""
    try:
        pairs = json.loads(metadata.get(INJECTED, "[]"))
        return tuple(row for start, end in pairs for row in range(class_count)[start:end])
    except (TypeError, ValueError):
        return ()


def _pairs(rows: Sequence[int]) -> list[list[int]]:
    pairs: list[list[int]] = []
    for row in rows:
        if pairs and pairs[-1][1] == row:
            pairs[-1][1] = row + 1
        else:
            pairs.append([row, row + 1])
    return pairs


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
