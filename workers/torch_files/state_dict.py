"""Finds a network's tensors in what torch.load returned."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from headgraft.models.errors import InjectionError
from headgraft.workers.torch_files.unpickler import REBUILDERS, Opaque

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
# What timm takes first where a file holds them.
AVERAGED = ("state_dict_ema", "model_ema")
NOT_DENSE = "is sparse, quantized, nested or empty of numbers; only dense ones are read"
EXTRA_STATE = "_extra_state"
WAY_OUT = "save the state dict alone: torch.save(model.state_dict(), path)"


@dataclass(frozen=True, eq=False)
class StateDict:
    """A network's tensors by name, in the file's order; `key` is where they lay, None at the top.

    `dropped` names what lay among or beside them and is not theirs.
    """

    tensors: dict[str, Tensor]
    key: str | None
    dropped: tuple[str, ...]


def pick(loaded: object, key: str | None = None) -> StateDict:
    """Take the state dict: the one under `key`, the mapping itself, or one under a customary key.

    Under any other key where nothing else holds tensors. Of several the averaged one, where it lies
    where timm looks for it. Left out, and named in
    `dropped`: whatever lies beside a nested one (epoch, optimizer, ...); within it whatever is no
    tensor and holds none. InjectionError for tensors within, for two state dicts (it lists their
    keys), or for none.
    """
    if not isinstance(loaded, Mapping):
        kind = loaded.name if isinstance(loaded, Opaque) else type(loaded).__name__
        raise unfit(f"the torch file holds a {kind!r:.100}, not a state dict: {WAY_OUT}")
    if key is None:
        key = _customary_key(loaded)
    elif not _holds_tensors(loaded.get(key)):
        there = [_shown(name) for name, value in loaded.items() if _holds_tensors(value)]
        keys = ", ".join(f"{name!r:.80}" for name in there[:20]) or "none"
        raise unfit(f"the torch file has no state dict under {key!r:.80}; it has them under {keys}")
    entries: Mapping[Any, object] = loaded if key is None else loaded[key]
    tensors = {name: value for name, value in entries.items() if isinstance(value, Tensor)}
    if not tensors:
        raise unfit(_nothing_found(loaded))
    for name, value in entries.items():
        _check_entry(name, value)
    beside = [] if key is None else [other for other in loaded if other != key]
    left = [name for name in entries if name not in tensors]
    return StateDict(tensors, key, tuple(map(_shown, [*beside, *left])))


def _customary_key(loaded: Mapping[Any, object]) -> str | None:
    """Return the key of the only state dict, or of the averaged one; None: they lie at the top."""
    nested = [key for key in CUSTOMARY if _holds_tensors(loaded.get(key))]
    own = [_shown(key) for key, value in loaded.items() if _is_weight(value)]
    if not nested and not own:
        # Under a name of the user's own, where nothing else holds tensors.
        nested = [
            key for key, value in loaded.items() if isinstance(key, str) and _holds_tensors(value)
        ]
    averaged = [key for key in AVERAGED if key in nested]
    if averaged:
        return averaged[0]
    if len(nested) > 1 or (nested and own):
        keys = ", ".join(repr(key) for key in nested)
        also = f" beside {own[0]!r:.80} and other tensors" if own else ""
        raise unfit(
            f"the torch file holds more than one set of tensors, under {keys}{also}: "
            "choose one as key, or save the one that is meant alone"
        )
    return nested[0] if nested else None


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
    objects = [(key, one.name) for key, one in loaded.items() if isinstance(one, Opaque)]
    if objects:
        key, kind = objects[0]
        if kind.startswith(REBUILDERS):
            return f"tensor {_shown(key)!r:.80} {NOT_DENSE}"
        return (
            f"the torch file holds whole objects and no tensors by name: {_shown(key)!r:.80} is a "
            f"{kind!r:.100}: {WAY_OUT}"
        )
    return (
        f"the torch file holds no tensors by name, neither at its top nor under one of "
        f"{', '.join(CUSTOMARY)}; its keys are {keys}: {WAY_OUT}"
    )


def _check_entry(name: object, value: object) -> None:
    if not isinstance(name, str) or not _is_writable(name):
        raise unfit(f"the state dict has the key {_shown(name)!r:.80}; keys must be Unicode texts")
    if isinstance(value, Tensor):
        _check_tensor(name, value)
    elif isinstance(value, Opaque) and value.name.startswith(REBUILDERS):
        raise unfit(f"tensor {name!r:.80} is sparse, quantized or nested; only dense ones are read")
    elif _holds_tensors(value) and not name.endswith(EXTRA_STATE):
        raise unfit(
            f"entry {name!r:.80} of the state dict holds tensors, and is none itself: {WAY_OUT}"
        )


def _is_writable(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _check_tensor(name: str, tensor: Tensor) -> None:
    if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_nested:
        kind = "quantized" if tensor.is_quantized else "sparse or nested"
        raise unfit(f"tensor {name!r:.80} is {kind}; only dense ones can be kept")
    if tensor.device.type != "cpu":
        raise unfit(f"tensor {name!r:.80} holds no numbers: it is on {tensor.device.type!r}")


def unfit(message: str) -> InjectionError:
    """Return what a torch file is refused with."""
    return InjectionError(message, code="invalid_checkpoint", pointer="/checkpoint")
