"""Finds a network's tensors in what torch.load returned."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from headgraft.models.errors import InjectionError

# A name that holds one of several state dicts makes the file ambiguous, averaged weights included.
CUSTOMARY = (
    "state_dict",
    "model_state_dict",
    "model_state",
    "model",
    "net",
    "network",
    "module",
    "weights",
    "params",
    "ema",
    "ema_state_dict",
    "model_ema",
    "params_ema",
    "state_dict_ema",
)
EXTRA_STATE = "_extra_state"
BOOKKEEPING = (bool, int, float, str, type(None))
WAY_OUT = "save the state dict alone: torch.save(model.state_dict(), path)"


@dataclass(frozen=True, eq=False)
class StateDict:
    """A network's tensors by name, in the file's order; `key` is where they lay, None at the top.

    `dropped` names what lay among or beside them and is not theirs.
    """

    tensors: dict[str, Tensor]
    key: str | None
    dropped: tuple[str, ...]


def pick(loaded: object) -> StateDict:
    """Take the state dict: the mapping itself, or the one under a customary key of it.

    Left out, and named in `dropped`: whatever lies beside a nested one (epoch, optimizer, ...);
    within it numbers, texts, None and `_extra_state` entries. InjectionError for anything else
    that is no tensor, for two state dicts (it lists their keys), or for none.
    """
    if not isinstance(loaded, Mapping):
        raise _error(f"the torch file holds a {type(loaded).__name__}, not a state dict: {WAY_OUT}")
    nested = [key for key in CUSTOMARY if _holds_tensors(loaded.get(key))]
    own = [_shown(key) for key, value in loaded.items() if _is_weight(value)]
    if len(nested) > 1 or (nested and own):
        keys = ", ".join(repr(key) for key in nested)
        also = f" beside {own[0]!r:.80} and other tensors" if own else ""
        raise _error(
            f"the torch file holds more than one set of tensors, under {keys}{also}: "
            "save the one that is meant alone"
        )
    key = nested[0] if nested else None
    entries: Mapping[Any, object] = loaded[key] if key else loaded
    tensors = {name: value for name, value in entries.items() if isinstance(value, Tensor)}
    if not tensors:
        raise _error(_nothing_found(loaded))
    for name, value in entries.items():
        _check_entry(name, value)
    beside = [other for other in loaded if other != key] if key else []
    left = [name for name in entries if name not in tensors]
    return StateDict(tensors, key, tuple(map(_shown, [*beside, *left])))


def _shown(key: object) -> str:
    # Not the repr of what is no text: tuples within tuples can take for ever to write.
    return key if isinstance(key, str) else f"<{type(key).__name__}>"


def _holds_tensors(value: object) -> bool:
    return isinstance(value, Mapping) and any(isinstance(one, Tensor) for one in value.values())


def _is_weight(value: object) -> bool:
    """Tell a weight from what training scripts keep beside it, like a best accuracy."""
    return isinstance(value, Tensor) and value.ndim > 1


def _nothing_found(loaded: Mapping[object, object]) -> str:
    keys = ", ".join(f"{_shown(key)!r:.80}" for key in list(loaded)[:20]) or "none"
    return (
        f"the torch file holds no tensors by name, neither at its top nor under one of "
        f"{', '.join(CUSTOMARY)}; its keys are {keys}: {WAY_OUT}"
    )


def _check_entry(name: object, value: object) -> None:
    if not isinstance(name, str) or not _is_writable(name):
        raise _error(f"the state dict has the key {_shown(name)!r:.80}; keys must be Unicode texts")
    if isinstance(value, Tensor):
        _check_tensor(name, value)
    elif not (isinstance(value, BOOKKEEPING) or name.endswith(EXTRA_STATE)):
        kind = type(value).__name__
        raise _error(f"entry {name!r:.80} of the state dict is a {kind}, not a tensor: {WAY_OUT}")


def _is_writable(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _check_tensor(name: str, tensor: Tensor) -> None:
    if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_nested:
        kind = "quantized" if tensor.is_quantized else "sparse or nested"
        raise _error(f"tensor {name!r:.80} is {kind}; only dense ones can be kept")
    if tensor.device.type != "cpu":
        raise _error(f"tensor {name!r:.80} holds no numbers: it is on {tensor.device.type!r}")


def _error(message: str) -> InjectionError:
    return InjectionError(message, code="invalid_checkpoint", pointer="/checkpoint")
