"""Writes a grown head back into the torch file that it came from, all else as it was."""

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors.torch import load_file

from headgraft.models.errors import InjectionError
from headgraft.workers.names.renew import renewed
from headgraft.workers.torch_files import state_dict


def write_torch_file(
    source: Path | None, grown: Path, target: Path, names: Sequence[str], added: int
) -> str | None:
    """Write the tensors of the safetensors file `grown` as a torch file.

    With a `source` they go where they lay in it, its other entries stay, and what it says of its
    classes is renewed: `names` are all, the last `added` new. Where it holds what is never read,
    the tensors alone are written, and the sentence that is returned says so.
    """
    tensors = load_file(grown)
    loaded, note = None, None
    if source is not None:
        try:
            loaded = torch.load(source, map_location="cpu", weights_only=True)
        except (UnpicklingError, RuntimeError, ValueError):
            note = (
                f"{target.name} holds the tensors alone: {source.name} holds more than tensors, "
                "which is never read"
            )
    torch.save(tensors if loaded is None else _replaced(loaded, tensors, names, added), target)
    return note


def _replaced(
    loaded: object, tensors: Mapping[str, torch.Tensor], names: Sequence[str], added: int
) -> Any:
    try:
        key = state_dict.pick(loaded).key
    except InjectionError:  # the one that was meant was chosen otherwise
        return dict(tensors)
    assert isinstance(loaded, dict)
    entries = loaded[key] if key else loaded
    # An OrderedDict stays one, with the `_metadata` that a state dict has.
    whole = copy.copy(entries)
    whole.update((name, tensors[name]) for name in entries if name in tensors)
    return whole if key is None else {**renewed(loaded, names, added), key: whole}
